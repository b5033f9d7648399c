"""The audit: clean on an honest history, and the right finding for every kind of lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from doubles import MEMBERS, Federation, small_genesis, small_manifest
from test_participant import run

from chain.errors import ContractMismatch
from chain.types import (
    AggregateAttested,
    Entry,
    RoundFinalised,
    RoundOpened,
    TaskState,
    UpdateCommitted,
    UpdateRevealed,
)
from fl_node.arrays import Arrays
from fl_node.audit import AuditReport, Status, audit
from fl_node.audit.report import weighted_loss
from fl_node.blobs.model import encode_model
from fl_node.blobs.store import key_of
from fl_node.errors import AuditImpossible, ManifestInvalid
from fl_node.manifest.manifest import Manifest


def audit_of(federation: Federation, ledger: Any = None, **options: Any) -> AuditReport:
    return audit(lambda: ledger or federation.ledger, federation.store, federation.task, **options)


def steps_with_findings(report: AuditReport) -> list[str]:
    return [step for step, status in report.statuses.items() if status is Status.FINDINGS]


@pytest.fixture
def finished(federation: Federation) -> Federation:
    run(federation)
    return federation


def reveals(federation: Federation) -> list[UpdateRevealed]:
    events = (entry.event for entry in federation.ledger.history(federation.task))
    return [event for event in events if isinstance(event, UpdateRevealed)]


def overwrite(federation: Federation, digest: bytes, content: bytes | None) -> None:
    """Change what the store's folder holds under a digest; None removes it."""
    path = federation.folder / "store" / key_of(digest)
    path.chmod(0o600)
    path.unlink()
    if content is not None:
        path.write_bytes(content)


def flipped(federation: Federation, digest: bytes) -> bytes:
    blob = bytearray(federation.store.get(digest, 1 << 20))
    blob[-1] ^= 1
    return bytes(blob)


class TestHonestHistory:
    def test_is_clean_in_every_step(self, finished: Federation) -> None:
        report = audit_of(finished, derive_genesis=lambda manifest: small_genesis())
        assert report.verdict == "clean"
        assert set(report.statuses.values()) == {Status.CLEAN}

    def test_shows_the_history(self, finished: Federation) -> None:
        report = audit_of(finished)
        state = finished.ledger.task_state(finished.task)
        assert report.history_head == state.history_head.hex()
        assert report.final_digest == state.parent_digest.hex()
        assert [len(one.updates) for one in report.rounds] == [3, 3]
        assert all(update.included for one in report.rounds for update in one.updates)

    def test_metrics_are_example_weighted_means(self, finished: Federation) -> None:
        report = audit_of(finished)
        assert [one.training_loss for one in report.rounds] == [1_000_000, 500_000]
        assert [one.held_out_loss for one in report.rounds] == [2_000_000, 1_000_000]

    def test_of_a_task_without_a_final_round_is_clean(self, federation: Federation) -> None:
        assert audit_of(federation).verdict == "clean"

    def test_of_a_round_reopened_after_a_deadline_is_clean(self, federation: Federation) -> None:
        federation.clock.time += 10_000
        federation.ledger.advance(federation.task)
        run(federation, MEMBERS[:2])
        report = audit_of(federation)
        assert report.verdict == "clean"
        assert report.rounds[0].attempts > 1

    def test_reports_progress(self, finished: Federation) -> None:
        seen: list[tuple[int, int]] = []
        audit_of(finished, progress=lambda done, of: seen.append((done, of)))
        assert seen == [(1, 2), (2, 2)]


def test_a1_other_code_ends_the_audit(finished: Federation) -> None:
    def connect() -> Any:
        raise ContractMismatch("other code at the address")

    report = audit(connect, finished.store, finished.task)
    assert steps_with_findings(report) == ["A1"]
    assert report.statuses["A2"] is Status.NOT_REACHED


class Lying:
    """A ledger whose log is not what it was."""

    def __init__(
        self, federation: Federation, lie: Callable[[list[Entry]], Sequence[Entry]]
    ) -> None:
        self._ledger, self._lie = federation.ledger, lie

    def history(self, task: int, from_block: int = 0) -> Sequence[Entry]:
        return self._lie(list(self._ledger.history(task, from_block)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


def changing(kind: type, **changes: Any) -> Callable[[list[Entry]], Sequence[Entry]]:
    """Change the fields of the first event of a kind."""

    def lie(entries: list[Entry]) -> Sequence[Entry]:
        at = next(number for number, entry in enumerate(entries) if isinstance(entry.event, kind))
        event: Any = entries[at].event
        entries[at] = replace(entries[at], event=replace(event, **changes))
        return entries

    return lie


class TestLog:
    @pytest.mark.parametrize(
        "lie",
        [
            changing(UpdateCommitted, commitment=bytes(32)),
            changing(RoundFinalised, included=0b001),
            changing(AggregateAttested, aggregate_digest=bytes(32)),
            changing(RoundOpened, deadline=1),
        ],
        ids=["commitment", "included", "aggregate", "deadline"],
    )
    def test_a2_and_a3_find_a_changed_event(
        self, finished: Federation, lie: Callable[[list[Entry]], Sequence[Entry]]
    ) -> None:
        report = audit_of(finished, Lying(finished, lie))
        assert steps_with_findings(report)[:2] == ["A2", "A3"]

    @pytest.mark.parametrize("at", [0, 1, 5, -1])
    def test_a2_finds_a_lost_event(self, finished: Federation, at: int) -> None:
        def lose(entries: list[Entry]) -> Sequence[Entry]:
            del entries[at]
            return entries

        assert "A2" in steps_with_findings(audit_of(finished, Lying(finished, lose)))

    def test_a3_finds_an_event_after_its_deadline(self, finished: Federation) -> None:
        def delay(entries: list[Entry]) -> Sequence[Entry]:
            at = next(
                number
                for number, entry in enumerate(entries)
                if isinstance(entry.event, UpdateRevealed)
            )
            late = entries[at].timestamp + 1_000_000
            return [*entries[:at], *(replace(entry, timestamp=late) for entry in entries[at:])]

        report = audit_of(finished, Lying(finished, delay))
        assert steps_with_findings(report) == ["A3"]
        (finding,) = report.findings
        assert finding.round == 1 and finding.client == reveals(finished)[0].client
        assert "DeadlinePassed" in str(finding.expected)

    def test_a8_finds_a_round_from_another_parent(self, finished: Federation) -> None:
        lie = changing(RoundOpened, parent_digest=bytes(32))
        report = audit_of(finished, Lying(finished, lie))
        assert "A8" in steps_with_findings(report)


class TestStore:
    @pytest.mark.parametrize("which", [0, 4])
    def test_a5_names_round_client_and_digest_of_a_tampered_update(
        self, finished: Federation, which: int
    ) -> None:
        revealed = reveals(finished)[which]
        digest = revealed.reveal.update_digest
        overwrite(finished, digest, flipped(finished, digest))
        report = audit_of(finished)
        assert steps_with_findings(report) == ["A5"]
        (finding,) = report.findings
        assert (finding.round, finding.client) == (revealed.round, revealed.client)
        assert (finding.digest, finding.actual) == (digest.hex(), "tampered")

    def test_a5_tells_a_missing_update_from_a_tampered_one(self, finished: Federation) -> None:
        overwrite(finished, reveals(finished)[0].reveal.update_digest, None)
        (finding,) = audit_of(finished).findings
        assert (finding.step, finding.actual) == ("A5", "missing")

    @pytest.mark.parametrize(("cut", "word"), [(10, "tampered"), (0, "tampered")])
    def test_a5_finds_a_truncated_update(self, finished: Federation, cut: int, word: str) -> None:
        digest = reveals(finished)[0].reveal.update_digest
        blob = bytes(finished.store.get(digest, 1 << 20))
        overwrite(finished, digest, blob[:cut])
        assert [finding.actual for finding in audit_of(finished).findings] == [word]

    def test_a4_finds_a_tampered_manifest(self, finished: Federation) -> None:
        digest = finished.ledger.task_state(finished.task).manifest_digest
        overwrite(finished, digest, flipped(finished, digest))
        report = audit_of(finished)
        assert steps_with_findings(report) == ["A4"]
        assert report.statuses["A6"] is Status.NOT_REACHED

    def test_a4_finds_a_genesis_that_does_not_follow_from_the_seed(
        self, finished: Federation
    ) -> None:
        other = {name: array + np.float32(1) for name, array in small_genesis().items()}
        report = audit_of(finished, derive_genesis=lambda manifest: other)
        assert steps_with_findings(report) == ["A4"]

    def test_a4_finds_a_manifest_that_gives_no_genesis(self, finished: Federation) -> None:
        def derive(manifest: Manifest) -> Arrays:
            raise ManifestInvalid("strategy.share: 'encoder.*' matches no tensor")

        report = audit_of(finished, derive_genesis=derive)
        assert steps_with_findings(report) == ["A4"]
        assert "'encoder.*' matches no tensor" in report.findings[0].message

    @pytest.mark.parametrize("number", [0, 1])
    def test_a7_finds_a_tampered_aggregate(self, finished: Federation, number: int) -> None:
        final = audit_of(finished).rounds[number]
        digest = bytes.fromhex(final.aggregate_digest)
        overwrite(finished, digest, flipped(finished, digest))
        report = audit_of(finished)
        assert steps_with_findings(report) == ["A7"]
        assert report.findings[0].digest == digest.hex()


def attest_together(federation: Federation, digest: bytes, included: int) -> None:
    """Bring round 1 to its attestations, and let a quorum attest to something else than the rules give."""
    nodes = [federation.start(member) for member in MEMBERS]
    ledger, task = federation.ledger, federation.task
    for _ in range(2):
        for node in nodes:
            node.step()
    for member in MEMBERS[:2]:
        ledger.acting_as(member).attest(task, 1, digest, included)


def test_a7_finds_a_quorum_that_attested_to_a_wrong_aggregate(federation: Federation) -> None:
    forged = federation.store.put(encode_model(small_genesis()))
    attest_together(federation, forged, 0b111)
    report = audit_of(federation)
    assert steps_with_findings(report) == ["A7"]
    assert report.findings[0].round == 1


def test_a6_finds_a_quorum_that_left_out_a_valid_update(federation: Federation) -> None:
    forged = federation.store.put(encode_model(small_genesis()))
    attest_together(federation, forged, 0b011)
    assert "A6" in steps_with_findings(audit_of(federation))


class TestReport:
    def test_a9_agrees_with_an_honest_report(self, finished: Federation) -> None:
        honest = [(1_000_000, 2_000_000), (500_000, 1_000_000)]
        assert audit_of(finished, reported=honest).verdict == "clean"

    @pytest.mark.parametrize(
        "reported",
        [[(1_000_000, 2_000_000), (500_000, 999_999)], [(1_000_000, 2_000_000)]],
        ids=["flattering", "short"],
    )
    def test_a9_finds_a_report_that_says_something_else(
        self, finished: Federation, reported: Any
    ) -> None:
        assert steps_with_findings(audit_of(finished, reported=reported)) == ["A9"]

    def test_says_the_same_to_machines(self, finished: Federation) -> None:
        values = audit_of(finished).to_json()
        assert values["verdict"] == "clean"
        assert list(values["steps"]) == [f"A{number}" for number in range(1, 10)]
        assert values["steps"]["A7"]["findings"] == []


class Restless:
    """A ledger on which something happens between any two readings."""

    def __init__(self, federation: Federation) -> None:
        self._ledger, self._reads = federation.ledger, 0

    def task_state(self, task: int) -> TaskState:
        self._reads += 1
        return replace(self._ledger.task_state(task), history_head=self._reads.to_bytes(32, "big"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


def test_a_task_too_busy_to_read_cannot_be_audited(federation: Federation) -> None:
    with pytest.raises(AuditImpossible, match="try again"):
        audit_of(federation, Restless(federation))


class TestWeightedLoss:
    @pytest.mark.parametrize(
        ("pairs", "mean"),
        [
            ([], None),
            ([(4, 1)], 4),
            ([(1, 1), (2, 1)], 2),
            ([(2, 1), (3, 1)], 2),
            ([(-3, 2), (0, 1)], -2),
        ],
    )
    def test_rounds_half_to_even(self, pairs: list[tuple[int, int]], mean: int | None) -> None:
        assert weighted_loss(pairs) == mean


def test_a_round_whose_update_was_left_out_by_all_is_clean(
    federate: Callable[..., Federation],
) -> None:
    federation = federate(small_manifest(limits={"examples": 25}))
    run(federation)
    report = audit_of(federation)
    assert report.verdict == "clean"
    left_out = [update for update in report.rounds[0].updates if not update.included]
    assert [update.client for update in left_out] == [MEMBERS[2]]
    assert "25" in str(left_out[0].left_out_because)
