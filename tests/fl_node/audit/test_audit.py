"""The audit: clean on an honest history, and the right finding for every kind of lie."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from doubles import MEMBERS, Federation, run, small_genesis, small_manifest

from chain.errors import ContractMismatch
from chain.history import cohort_seed
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
from fl_node.audit import AuditReport, Report, Status, audit
from fl_node.audit.findings import Findings
from fl_node.audit.report import weighted_loss
from fl_node.audit.reported import gas_by_round, report_of
from fl_node.blobs.model import encode_model
from fl_node.blobs.store import key_of
from fl_node.errors import AuditImpossible, ManifestInvalid
from fl_node.manifest.manifest import Manifest


def audit_of(federation: Federation, ledger: Any = None, **options: Any) -> AuditReport:
    return audit(lambda: ledger or federation.ledger, federation.store, federation.task, **options)


def steps_with_findings(report: AuditReport) -> list[str]:
    return [step for step, status in report.statuses.items() if status is Status.FINDINGS]


def not_reached(report: AuditReport) -> list[str]:
    return [step for step, status in report.statuses.items() if status is Status.NOT_REACHED]


def honest_report(federation: Federation) -> Report:
    return report_of(audit_of(federation), {}, 1.5, "workspace")


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
        report = audit_of(
            finished,
            derive_genesis=lambda manifest: small_genesis(),
            reported=honest_report(finished),
            expected_head=finished.ledger.task_state(finished.task).history_head,
        )
        assert report.verdict == "clean"
        assert set(report.statuses.values()) == {Status.CLEAN}
        assert report.reasons == {}

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
        report = audit_of(federation)
        assert report.verdict == "clean"
        assert not_reached(report) == ["A5", "A6", "A7", "A9"]
        assert report.reasons["A7"] == ("no round is final yet",)

    def test_of_a_round_reopened_after_a_deadline_is_clean(self, federation: Federation) -> None:
        federation.clock.time += 10_000
        federation.ledger.advance(federation.task)
        run(federation, MEMBERS[:2])
        report = audit_of(federation)
        assert report.verdict == "clean"
        first, second = report.rounds
        assert (first.attempts, second.attempts) == (2, 1)
        assert (first.opened_at, first.finalised_at) == (1_000_000, 1_011_000)

    def test_counts_the_bytes_that_were_checked(self, finished: Federation) -> None:
        def size(digest: str) -> int:
            return len(finished.store.get(bytes.fromhex(digest), 1 << 20))

        report = audit_of(finished)
        state = finished.ledger.task_state(finished.task)
        expected = size(state.manifest_digest.hex()) + size(state.genesis_digest.hex())
        for one in report.rounds:
            expected += size(one.parent_digest) + sum(size(update.digest) for update in one.updates)
        assert report.blob_bytes == expected

    def test_reports_progress(self, finished: Federation) -> None:
        seen: list[tuple[int, int]] = []
        audit_of(finished, progress=lambda done, of: seen.append((done, of)))
        assert seen == [(1, 2), (2, 2)]


def test_a1_other_code_ends_the_audit(finished: Federation) -> None:
    def connect() -> Any:
        raise ContractMismatch("other code at the address")

    report = audit(connect, finished.store, finished.task)
    assert steps_with_findings(report) == ["A1"]
    assert not_reached(report) == [f"A{number}" for number in range(2, 10)]
    assert report.reasons["A9"] == ("A1 found that this is not the contract",)


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


class TestExpectedHead:
    def test_that_is_the_contracts_is_clean(self, finished: Federation) -> None:
        head = finished.ledger.task_state(finished.task).history_head
        assert audit_of(finished, expected_head=head).statuses["A2"] is Status.CLEAN

    def test_that_is_another_is_found_by_a2(self, finished: Federation) -> None:
        report = audit_of(finished, expected_head=bytes(32))
        assert steps_with_findings(report) == ["A2"]
        (finding,) = report.findings
        assert (finding.expected, finding.actual) == ("00" * 32, report.history_head)


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

    @pytest.mark.parametrize("at", [0, 1, -1])
    def test_a2_finds_an_event_after_the_head(self, finished: Federation, at: int) -> None:
        def add(entries: list[Entry]) -> Sequence[Entry]:
            again = replace(entries[at], block_number=entries[-1].block_number + 1)
            return [*entries, again]

        assert "A2" in steps_with_findings(audit_of(finished, Lying(finished, add)))

    def test_what_happens_after_the_state_was_read_is_no_finding(
        self, federation: Federation
    ) -> None:
        report = audit_of(federation, Awakening(federation))
        assert report.verdict == "clean"
        assert report.rounds == ()

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

    def test_a3_finds_a_seed_that_does_not_follow_from_the_parent(
        self, finished: Federation
    ) -> None:
        report = audit_of(finished, Lying(finished, changing(RoundOpened, seed=bytes(32))))
        (finding,) = [finding for finding in report.findings if finding.step == "A3"]
        assert finding.round == 1
        seed = cohort_seed(finished.ledger.task_state(finished.task).genesis_digest, 1, 1, 0)
        assert repr(seed) in str(finding.expected)

    def test_a8_finds_a_round_with_another_number(self, finished: Federation) -> None:
        report = audit_of(finished, Lying(finished, changing(RoundOpened, round=5)))
        (finding,) = [finding for finding in report.findings if finding.step == "A8"]
        assert finding.round == 5 and str(finding.expected).startswith("round 1 from ")

    def test_a8_finds_that_the_contracts_model_is_not_the_last_final_one(
        self, finished: Federation
    ) -> None:
        report = audit_of(finished, OtherModel(finished))
        assert steps_with_findings(report) == ["A8"]
        (finding,) = report.findings
        assert finding.expected == report.rounds[-1].aggregate_digest
        assert finding.actual == report.final_digest == "00" * 32

    def test_members_come_from_the_manifest_where_the_log_lacks_its_opening(
        self, finished: Federation
    ) -> None:
        report = audit_of(finished, Lying(finished, lambda entries: entries[1:]))
        assert "A2" in steps_with_findings(report)
        assert [[update.included for update in one.updates] for one in report.rounds] == 2 * [
            [True] * 3
        ]

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
        assert not_reached(report) == ["A6", "A7", "A9"]
        why = f"round {revealed.round}: an included update is missing or tampered with (A5)"
        assert report.reasons["A6"] == report.reasons["A7"] == (why,)
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
        assert not_reached(report) == ["A5", "A6", "A7", "A9"]
        assert "A4" in report.reasons["A6"][0]

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

    def test_a5_calls_an_update_that_became_longer_tampered(self, finished: Federation) -> None:
        digest = reveals(finished)[0].reveal.update_digest
        blob = bytes(finished.store.get(digest, 1 << 20))
        overwrite(finished, digest, blob + bytes(1 << 20))
        report = audit_of(finished)
        assert steps_with_findings(report) == ["A5"]
        assert [finding.actual for finding in report.findings] == ["tampered"]

    def test_what_follows_a_lost_aggregate_is_not_reached(self, finished: Federation) -> None:
        first = audit_of(finished).rounds[0]
        overwrite(finished, bytes.fromhex(first.aggregate_digest), None)
        for update in first.updates:
            overwrite(finished, bytes.fromhex(update.digest), None)
        report = audit_of(finished)
        assert steps_with_findings(report) == ["A5", "A7"]
        assert [finding.round for finding in report.findings] == [1, 1, 1, 1]
        assert not_reached(report) == ["A6", "A9"]
        lost = "round 2: the model that it starts from is missing or unfit"
        assert report.reasons["A5"] == (lost,)
        assert lost in report.reasons["A6"] and lost in report.reasons["A7"]
        assert len(report.rounds) == 2

    def test_a_lost_aggregate_that_can_be_computed_again_does_not_stop_the_audit(
        self, finished: Federation
    ) -> None:
        first = audit_of(finished).rounds[0]
        overwrite(finished, bytes.fromhex(first.aggregate_digest), None)
        report = audit_of(finished)
        assert steps_with_findings(report) == ["A7"]
        assert not_reached(report) == ["A9"]


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


@pytest.mark.parametrize("at", [0.5, 1], ids=["middle", "last byte"])
def test_a7_finds_an_aggregate_that_differs_in_one_byte(
    federate: Callable[..., Federation], at: float
) -> None:
    honest, federation = federate(name="honest"), federate()
    run(honest)
    blob = bytearray(
        honest.store.get(bytes.fromhex(audit_of(honest).rounds[0].aggregate_digest), 1 << 20)
    )
    assert len(blob) % 8, "so that the last bytes are no whole word"
    blob[int(at * len(blob)) - 1] ^= 1
    attest_together(federation, federation.store.put(bytes(blob)), 0b111)
    assert steps_with_findings(audit_of(federation)) == ["A7"]


def test_a6_finds_a_quorum_that_left_out_a_valid_update(federation: Federation) -> None:
    forged = federation.store.put(encode_model(small_genesis()))
    attest_together(federation, forged, 0b011)
    assert "A6" in steps_with_findings(audit_of(federation))


def changed(report: Report, path: str, value: object) -> Report:
    """The same report with another value at a path such as "rounds.0.gas"."""
    values = report.model_dump(mode="json")
    *way, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
    inner: Any = values
    for part in way:
        inner = inner[part]
    inner[last] = value
    return Report.model_validate_json(json.dumps(values))


OTHER = "ab" * 32


class TestReport:
    def test_a9_agrees_with_an_honest_report(self, finished: Federation) -> None:
        report = audit_of(finished, reported=honest_report(finished))
        assert (report.verdict, report.statuses["A9"]) == ("clean", Status.CLEAN)

    def test_a9_is_not_reached_without_one_and_says_why(self, finished: Federation) -> None:
        report = audit_of(finished)
        assert (report.verdict, not_reached(report)) == ("clean", ["A9"])
        assert report.reasons["A9"] == ("no report was given",)
        assert audit_of(finished, unreported="it is gone").reasons["A9"] == ("it is gone",)

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("chain_id", 1),
            ("contract", MEMBERS[0]),
            ("task", 7),
            ("history_head", OTHER),
            ("final_digest", OTHER),
            ("rounds.0.round", 2),
            ("rounds.1.attempts", 2),
            ("rounds.0.parent_digest", OTHER),
            ("rounds.1.aggregate_digest", OTHER),
            (f"rounds.0.updates.{MEMBERS[1]}", OTHER),
            ("rounds.0.updates", {}),
            ("rounds.1.included", MEMBERS[:2]),
            ("rounds.1.included", [*MEMBERS, MEMBERS[0]]),
            ("rounds.0.training_loss", 999_999),
            ("rounds.1.held_out_loss", None),
            ("rounds.0.seconds", 12345),
        ],
    )
    def test_a9_finds_whatever_is_false(
        self, finished: Federation, path: str, value: object
    ) -> None:
        report = audit_of(finished, reported=changed(honest_report(finished), path, value))
        assert steps_with_findings(report) == ["A9"]
        (finding,) = report.findings
        names = path.split(".")
        assert (finding.round or 0) == (int(names[1]) + 1 if names[0] == "rounds" else 0)
        assert names[2 if names[0] == "rounds" else 0].replace("_", " ") in finding.message
        assert finding.expected != finding.actual

    def test_a9_shows_only_the_updates_that_differ(self, finished: Federation) -> None:
        honest = honest_report(finished)
        false = changed(honest, f"rounds.0.updates.{MEMBERS[1]}", OTHER)
        (finding,) = audit_of(finished, reported=false).findings
        assert finding.expected == f"{MEMBERS[1]}: {honest.rounds[0].updates[MEMBERS[1]]}"
        assert finding.actual == f"{MEMBERS[1]}: {OTHER}"

    @pytest.mark.parametrize("count", [0, 1])
    def test_a9_finds_rounds_that_are_kept_back(self, finished: Federation, count: int) -> None:
        honest = honest_report(finished)
        report = audit_of(
            finished, reported=honest.model_copy(update={"rounds": honest.rounds[:count]})
        )
        (finding,) = report.findings
        assert (finding.step, finding.expected, finding.actual) == ("A9", "2", str(count))

    def test_a9_takes_included_clients_in_any_order(self, finished: Federation) -> None:
        honest = honest_report(finished)
        turned = changed(honest, "rounds.0.included", honest.rounds[0].included[::-1])
        assert audit_of(finished, reported=turned).verdict == "clean"

    def test_a9_holds_gas_against_a_ledger_that_knows_it(self, finished: Federation) -> None:
        ledger: Any = Costly(finished)
        gas = gas_by_round(ledger, ledger.history(finished.task))
        honest = report_of(audit_of(finished, ledger), gas, 1.5, "workspace")
        assert [one.gas for one in honest.rounds] == [
            80,
            80,
        ]  # 3 commits, 3 reveals, and 2 attestations of a quorum
        assert audit_of(finished, ledger, reported=honest).statuses["A9"] is Status.CLEAN
        for gas_said, found in ((79, ["A9"]), (None, [])):
            said = changed(honest, "rounds.1.gas", gas_said)
            assert steps_with_findings(audit_of(finished, ledger, reported=said)) == found

    def test_says_the_same_to_machines(self, finished: Federation) -> None:
        values = audit_of(finished).to_json()
        assert values["verdict"] == "clean"
        assert list(values["steps"]) == [f"A{number}" for number in range(1, 10)]
        assert values["steps"]["A7"]["findings"] == []


class Costly:
    """A ledger whose entries name transactions, each of 10 gas; blocks number them."""

    def __init__(self, federation: Federation) -> None:
        self._ledger = federation.ledger

    def history(self, task: int, from_block: int = 0) -> Sequence[Entry]:
        return [
            replace(entry, transaction=entry.block_number.to_bytes(32, "big"))
            for entry in self._ledger.history(task, from_block)
        ]

    def gas_used(self, transaction: bytes) -> int:
        return 10

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


def test_rounds_that_were_not_reached_are_named_together() -> None:
    findings = Findings()
    for number in (2, 3, 4, 9):
        findings.skip("A6", because="why", round=number)
    findings.skip("A7", because="why", round=3)
    findings.skip("A7", because="why", round=4)
    assert findings.reasons() == {
        "A6": ("rounds 2, 3, 4, 9: why",),
        "A7": ("rounds 3 to 4: why",),
    }


class OtherModel:
    """A ledger whose contract names another current model than the last final one."""

    def __init__(self, federation: Federation) -> None:
        self._ledger = federation.ledger

    def task_state(self, task: int) -> TaskState:
        return replace(self._ledger.task_state(task), parent_digest=bytes(32))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


class Awakening:
    """A ledger on which the whole task happens when its log is read for the first time."""

    def __init__(self, federation: Federation) -> None:
        self._federation, self._ledger = federation, federation.ledger

    def history(self, task: int, from_block: int = 0) -> Sequence[Entry]:
        run(self._federation)
        return self._ledger.history(task, from_block)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


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


def test_losses_of_updates_that_were_left_out_do_not_count(
    federate: Callable[..., Federation],
) -> None:
    federation = federate(small_manifest(limits={"examples": 25}))
    run(federation)

    def lie(entries: list[Entry]) -> Sequence[Entry]:
        return [
            replace(entry, event=replace(event, reveal=replace(event.reveal, training_loss=9)))
            if isinstance(event := entry.event, UpdateRevealed) and event.client == MEMBERS[2]
            else entry
            for entry in entries
        ]

    first = audit_of(federation, Lying(federation, lie)).rounds[0]
    assert [update.training_loss for update in first.updates] == [1_000_000, 1_000_000, 9]
    assert first.training_loss == 1_000_000
