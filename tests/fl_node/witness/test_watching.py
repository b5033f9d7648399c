"""A witness signs what extends what it has signed, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from doubles import Federation, federation_in, played_in, run, small_manifest

from chain.types import Entry
from fl_node.errors import ExtensionRefused, Misuse
from fl_node.witness.cosigning import is_genuine
from fl_node.witness.keys import witness_key
from fl_node.witness.note import Note, read_notes
from fl_node.witness.watching import Witness

ALICE = witness_key("alice", bytes(range(32)))
MALLORY = witness_key("alice", bytes(32))


class Shown:
    """A ledger of which an endpoint shows only some events."""

    def __init__(self, federation: Federation, entries: list[Entry]) -> None:
        self.chain_id = federation.ledger.chain_id
        self.contract = federation.ledger.contract
        self.entries = entries

    def history(self, task: int, from_block: int = 0) -> list[Entry]:
        return [entry for entry in self.entries if entry.block_number >= from_block]


def witness(
    tmp_path: Path, federation: Federation, ledger: Any = None, key: Any = ALICE
) -> Witness:
    """A witness that was just started."""
    log = tmp_path / f"log-{len([*tmp_path.iterdir()])}.sqlite"
    return Witness(
        ledger or federation.ledger, federation.task, key, tmp_path / "out.txt", log, lambda: 77.5
    )


def head_of(federation: Federation) -> bytes:
    return federation.ledger.task_state(federation.task).history_head


def written(tmp_path: Path) -> Note:
    (note,) = read_notes((tmp_path / "out.txt").read_bytes())
    return note


@pytest.fixture
def opened(tmp_path: Path) -> Federation:
    return federation_in(tmp_path / "federation")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    return played_in(tmp_path_factory.mktemp("finished"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    """Another history of a task with the same number, in the same contract, on the same chain."""
    return played_in(tmp_path_factory.mktemp("other"), small_manifest(seed=6))


def test_it_signs_the_head_and_the_number_of_events(tmp_path: Path, finished: Federation) -> None:
    note = witness(tmp_path, finished).look(head_of(finished))
    assert note == written(tmp_path)
    assert note.checkpoint.head == head_of(finished)
    assert note.checkpoint.events == len([*finished.ledger.history(finished.task)])
    assert note.cosignatures[0].time == 77
    assert is_genuine(note.checkpoint, note.cosignatures[0], ALICE.verifier)


def test_it_signs_again_when_the_history_has_grown(tmp_path: Path, opened: Federation) -> None:
    one = witness(tmp_path, opened)
    first = one.look(head_of(opened))
    assert first is not None and one.look(head_of(opened)) is None
    run(opened)
    second = one.look(head_of(opened))
    assert second is not None and second.checkpoint.events > first.checkpoint.events
    assert written(tmp_path) == second


def test_it_remembers_across_restarts(tmp_path: Path, opened: Federation) -> None:
    assert witness(tmp_path, opened).look(head_of(opened))
    assert witness(tmp_path, opened).look(head_of(opened)) is None
    run(opened)
    assert witness(tmp_path, opened).look(head_of(opened))


class TestRefusals:
    def refused(self, tmp_path: Path, finished: Federation, ledger: Any, head: bytes) -> str:
        before = (tmp_path / "out.txt").read_bytes()
        with pytest.raises(ExtensionRefused) as refusal:
            witness(tmp_path, finished, ledger).look(head)
        assert (tmp_path / "out.txt").read_bytes() == before
        return str(refusal.value)

    def test_another_head_for_the_same_number_of_events(
        self, tmp_path: Path, finished: Federation, other: Federation
    ) -> None:
        witness(tmp_path, finished).look(head_of(finished))
        said = self.refused(tmp_path, finished, other.ledger, head_of(other))
        assert said.startswith("another history: after ")

    def test_a_longer_history_that_forks_before(
        self, tmp_path: Path, opened: Federation, other: Federation
    ) -> None:
        witness(tmp_path, opened).look(head_of(opened))
        said = self.refused(tmp_path, opened, other.ledger, head_of(other))
        assert said.startswith("another history: after 2 events ")

    def test_fewer_events(self, tmp_path: Path, opened: Federation, finished: Federation) -> None:
        old = head_of(opened)
        entries = [*opened.ledger.history(opened.task)]
        witness(tmp_path, finished).look(head_of(finished))
        said = self.refused(tmp_path, finished, Shown(finished, entries), old)
        assert said.startswith("2 events are shown, and ")

    @pytest.mark.parametrize("place", [0, 3, -1])
    def test_a_log_that_hides_an_event(
        self, tmp_path: Path, finished: Federation, opened: Federation, place: int
    ) -> None:
        witness(tmp_path, opened).look(head_of(opened))
        entries = [*finished.ledger.history(finished.task)]
        del entries[place]
        said = self.refused(tmp_path, finished, Shown(finished, entries), head_of(finished))
        assert "does not lead to its history head" in said

    def test_a_head_out_of_nothing(self, tmp_path: Path, finished: Federation) -> None:
        witness(tmp_path, finished).look(head_of(finished))
        said = self.refused(tmp_path, finished, finished.ledger, b"\xab" * 32)
        assert "does not lead to its history head" in said

    def test_a_running_witness_refuses_as_well_and_goes_on(
        self, tmp_path: Path, opened: Federation
    ) -> None:
        one = witness(tmp_path, opened)
        one.look(head_of(opened))
        with pytest.raises(ExtensionRefused):
            one.look(b"\xab" * 32)
        run(opened)
        assert one.look(head_of(opened))


class TestItsMemory:
    def test_a_note_of_another_key_is_not_its_memory(
        self, tmp_path: Path, finished: Federation
    ) -> None:
        witness(tmp_path, finished, key=MALLORY).look(head_of(finished))
        with pytest.raises(Misuse, match="signed with the key of alice"):
            witness(tmp_path, finished)

    def test_a_note_of_another_task_is_not_its_memory(
        self, tmp_path: Path, finished: Federation
    ) -> None:
        witness(tmp_path, finished).look(head_of(finished))
        path = tmp_path / "out.txt"
        path.write_text(path.read_text().replace("/1\n", "/2\n", 1))
        with pytest.raises(Misuse, match="expected a note of ganchor/"):
            witness(tmp_path, finished)

    def test_a_head_that_was_altered_is_not_its_memory(
        self, tmp_path: Path, finished: Federation
    ) -> None:
        note = witness(tmp_path, finished).look(head_of(finished))
        assert note
        path, events = tmp_path / "out.txt", note.checkpoint.events
        path.write_text(path.read_text().replace(f"\n{events}\n", "\n1\n"))
        with pytest.raises(Misuse, match="signed with the key of alice"):
            witness(tmp_path, finished)

    @pytest.mark.parametrize("content", ["", "x", "\x1b[2J"])
    def test_a_damaged_file_is_not_its_memory(
        self, tmp_path: Path, finished: Federation, content: str
    ) -> None:
        (tmp_path / "out.txt").write_text(content)
        with pytest.raises(Misuse, match="must hold what the witness signed last"):
            witness(tmp_path, finished)
