"""An endpoint, or the writer of a bundle, that shows one auditor another history: a trusted witness gives it away."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from doubles import Federation, federation_in, played_in, run, small_manifest

from fl_node.audit import AuditReport, Status, audit
from fl_node.audit.cosignatures import Witnesses
from fl_node.bundle.reading import read_bundle
from fl_node.bundle.writing import write_bundle
from fl_node.witness.cosigning import cosign
from fl_node.witness.keys import WitnessKey, witness_key
from fl_node.witness.note import Checkpoint, Note

ALICE = witness_key("alice.example/witness", bytes(range(32)))
BOB = witness_key("bob.example/witness", bytes(32))
MALLORY = witness_key("alice.example/witness", bytes([9]) * 32)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    return played_in(tmp_path_factory.mktemp("played"))


@pytest.fixture(scope="module")
def invented(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    """A history that never was, of the same task in the same contract, consistent in itself."""
    return played_in(tmp_path_factory.mktemp("invented"), small_manifest(seed=6))


def point_of(federation: Federation) -> Checkpoint:
    ledger, task = federation.ledger, federation.task
    events = len([*ledger.history(task)])
    head = ledger.task_state(task).history_head
    return Checkpoint(ledger.chain_id, ledger.contract, task, events, head)


def note(point: Checkpoint, *keys: WitnessKey) -> Note:
    return Note(point, tuple(cosign(point, key, 77) for key in keys))


def audited(federation: Federation, *notes: Note, trusted: WitnessKey = ALICE) -> AuditReport:
    witnesses = Witnesses((trusted.verifier,), notes)
    ledger = federation.ledger
    return audit(lambda: ledger, federation.store, federation.task, witnesses=witnesses)


def messages(report: AuditReport) -> list[str]:
    return [finding.message for finding in report.findings if finding.step == "A2"]


UNSEEN = "none of the given witnesses has cosigned this history"


def test_the_genuine_history_is_clean_and_says_who_signed_it(played: Federation) -> None:
    report = audited(played, note(point_of(played), ALICE))
    assert not report.findings
    (cosigned,) = report.cosigned
    assert (cosigned.witness, cosigned.time, cosigned.checked) == (
        "alice.example/witness",
        77,
        True,
    )


def test_an_earlier_point_of_the_same_history_is_good_up_to_there(tmp_path: Path) -> None:
    federation = federation_in(tmp_path)
    early = note(point_of(federation), ALICE)
    run(federation)
    report = audited(federation, early)
    assert not report.findings
    assert report.cosigned[0].events == 2


def test_a_history_that_never_was_is_found(played: Federation, invented: Federation) -> None:
    assert not audited(invented, note(point_of(invented), ALICE)).findings
    report = audited(invented, note(point_of(played), ALICE))
    assert messages(report) == ["alice.example/witness has cosigned another history", UNSEEN]
    assert report.statuses["A2"] is Status.FINDINGS and not report.cosigned


def test_an_end_that_is_hidden_is_found(tmp_path: Path, played: Federation) -> None:
    old = federation_in(tmp_path)
    (finding, _) = audited(old, note(point_of(played), ALICE)).findings
    assert finding.actual == "a log of 2 events"


def test_a_signature_in_a_witnesss_name_counts_for_nothing(played: Federation) -> None:
    report = audited(played, note(point_of(played), MALLORY))
    assert messages(report) == [UNSEEN]
    assert [cosigned.checked for cosigned in report.cosigned] == [False]


def test_a_signature_with_a_witnesss_name_and_id_is_found(played: Federation) -> None:
    (line,) = note(point_of(played), MALLORY).cosignatures
    forged = Note(point_of(played), (replace(line, id=ALICE.verifier.id),))
    assert messages(audited(played, forged)) == [
        "a cosignature in the name of alice.example/witness is not made with its key", UNSEEN
    ]  # fmt: skip


@pytest.mark.parametrize("change", [{"task": 2}, {"chain_id": 1}], ids=str)
def test_what_was_signed_of_another_task_is_found(
    played: Federation, change: dict[str, int]
) -> None:
    other = replace(point_of(played), **change)  # type: ignore[arg-type]
    assert messages(audited(played, note(other, ALICE))) == [
        "alice.example/witness has cosigned the history of something else", UNSEEN
    ]  # fmt: skip


def test_strangers_signatures_change_nothing(played: Federation, invented: Federation) -> None:
    strange = note(replace(point_of(invented), task=7), BOB)
    report = audited(played, note(point_of(played), ALICE, BOB), strange)
    assert not report.findings
    assert [cosigned.checked for cosigned in report.cosigned] == [True, False, False]


def test_nothing_is_checked_where_nobody_is_trusted(played: Federation) -> None:
    notes = (note(point_of(played), ALICE, BOB),)
    ledger, store = played.ledger, played.store
    report = audit(lambda: ledger, store, played.task, witnesses=Witnesses((), notes))
    assert not report.findings
    assert not any(cosigned.checked for cosigned in report.cosigned)


def test_a_bundle_of_a_history_that_never_was_cannot_carry_a_genuine_note(
    tmp_path: Path, played: Federation, invented: Federation
) -> None:
    path = tmp_path / "task.zip"
    notes = [note(point_of(played), ALICE)]
    write_bundle(path, invented.ledger, invented.store, invented.task, notes=notes)
    bundle = read_bundle(path)
    assert bundle.blobs and bundle.notes == tuple(notes)
    witnesses = Witnesses((ALICE.verifier,), bundle.notes)
    report = audit(bundle.ledger, bundle.blobs, bundle.state.task, witnesses=witnesses)
    assert "alice.example/witness has cosigned another history" in messages(report)
