"""A log that is kept: what is read of the chain, what the head verifies, and what becomes of a file that is wrong."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from doubles import MEMBERS, Clock

from chain.errors import ChainUnreachable, HistoryInvalid
from chain.history import commitment_of, first_head, head_of
from chain.memory_ledger import MemoryLedger
from chain.types import Entry, Reveal, RoundOpened, TaskState, Terms
from fl_node.errors import StateUnusable
from fl_node.history import log_file
from fl_node.history.growing_past import GrowingPast, recent_past
from fl_node.history.kept import REORGANISED_BLOCKS, KeptLog
from fl_node.history.record import (
    Attempts,
    attempts_of_current_round,
    final_rounds,
    past_of,
)

TERMS = Terms(1000, 60, 60, 60, 10_000, 3, 1, 5_000)


class Counting:
    """A ledger that counts the entries that are read of its log, and can be made to show another one."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self.ledger = ledger
        self.read = 0
        self.shows: Callable[[list[Entry]], list[Entry]] = lambda entries: entries

    def history(self, task: int, from_block: int = 0) -> Iterator[Entry]:
        for entry in self.shows(list(self.ledger.history(task))):
            if entry.block_number >= from_block:
                self.read += 1
                yield entry

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ledger, name)

    @property
    def state(self) -> TaskState:
        return self.ledger.task_state(1)


@pytest.fixture
def chain() -> Counting:
    ledger = MemoryLedger(clock=Clock())
    ledger.open_task(b"\1" * 32, b"\2" * 32, MEMBERS, TERMS)
    return Counting(ledger)


@pytest.fixture
def kept(chain: Counting, tmp_path: Path) -> KeptLog:
    return KeptLog(chain, 1, tmp_path / "log.sqlite")


def commit_all(ledger: MemoryLedger) -> dict[Any, Reveal]:
    number = ledger.task_state(1).round
    openings = {
        member: Reveal(bytes([number % 256, index]) * 16, 5, 10 * number + index, 1, bytes(32))
        for index, member in enumerate(MEMBERS)
    }
    for member, opening in openings.items():
        where = (ledger.chain_id, ledger.contract, 1, number, member)
        ledger.acting_as(member).commit(1, number, commitment_of(*where, opening))
    return openings


def play(ledger: MemoryLedger, rounds: int) -> None:
    """Final rounds, each of which includes the first two members."""
    for _ in range(rounds):
        number = ledger.task_state(1).round
        for member, opening in commit_all(ledger).items():
            ledger.acting_as(member).reveal(1, number, opening)
        for member in MEMBERS[:2]:
            ledger.acting_as(member).attest(1, number, number.to_bytes(32, "big"), 0b011)


def decline(ledger: MemoryLedger) -> None:
    """A final round without updates."""
    number = ledger.task_state(1).round
    for member in MEMBERS:
        ledger.acting_as(member).skip(1, number)


def entries_in(kept: KeptLog, head: bytes) -> list[Entry]:
    with kept.read_to(head) as log:
        return list(log.entries())


class TestReading:
    def test_gives_what_the_chain_has(self, chain: Counting, kept: KeptLog) -> None:
        play(chain.ledger, 3)
        whole = list(chain.ledger.history(1))
        with kept.read_to(chain.state.history_head) as log:
            assert list(log.entries()) == whole
            assert log.members() == MEMBERS
            assert log.head == chain.state.history_head
            assert list(log.final_rounds()) == list(final_rounds(whole))
            assert list(log.last_final_rounds()) == list(final_rounds(whole))[::-1]
            assert list(log.final_rounds(3)) == list(final_rounds(whole))[2:]
            assert log.attempts() == attempts_of_current_round(whole)

    def test_asks_only_for_what_is_new(self, chain: Counting, kept: KeptLog) -> None:
        costs = []
        for _ in range(40):
            play(chain.ledger, 1)
            chain.read = 0
            entries_in(kept, chain.state.history_head)
            costs.append(chain.read)
        assert len(set(costs[1:])) == 1
        assert costs[1] < 20

    def test_asks_for_nothing_if_nothing_is_new(self, chain: Counting, kept: KeptLog) -> None:
        play(chain.ledger, 2)
        whole = entries_in(kept, chain.state.history_head)
        chain.read = 0
        assert entries_in(kept, chain.state.history_head) == whole
        assert chain.read == 0

    def test_goes_on_after_a_restart(self, chain: Counting, kept: KeptLog, tmp_path: Path) -> None:
        play(chain.ledger, 5)
        entries_in(kept, chain.state.history_head)
        chain.read = 0
        play(chain.ledger, 1)
        again = KeptLog(chain, 1, tmp_path / "log.sqlite")
        assert entries_in(again, chain.state.history_head) == list(chain.ledger.history(1))
        assert chain.read < 20

    def test_ends_with_the_head_that_was_asked_for(self, chain: Counting, kept: KeptLog) -> None:
        """The log may be ahead of a state that was read before it, or that has to be some blocks deep."""
        play(chain.ledger, 1)
        state, before = chain.state, list(chain.ledger.history(1))
        commit_all(chain.ledger)
        assert entries_in(kept, state.history_head) == before
        entries_in(kept, chain.state.history_head)
        with kept.read_to(state.history_head) as log:
            assert list(log.entries()) == before
            assert log.last() == before[-1]
            assert log.attempts() == attempts_of_current_round(before)
            assert list(log.last_final_rounds()) == list(final_rounds(before))

    def test_of_a_task_without_a_final_round(self, chain: Counting, kept: KeptLog) -> None:
        with kept.read_to(chain.state.history_head) as log:
            assert list(log.final_rounds()) == list(log.last_final_rounds()) == []
            assert log.attempts() == Attempts((), ())

    def test_a_read_that_is_cut_short_goes_on_where_it_stood(
        self, chain: Counting, kept: KeptLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log_file, "LOT", 7)
        play(chain.ledger, 10)
        whole = list(chain.ledger.history(1))

        def cut(entries: list[Entry]) -> list[Entry]:
            class Ending(list[Entry]):
                def __iter__(self) -> Iterator[Entry]:
                    yield from entries[: len(entries) // 2]
                    raise ChainUnreachable("unplugged")

            return Ending()

        chain.shows = cut
        with pytest.raises(ChainUnreachable):
            entries_in(kept, chain.state.history_head)
        chain.shows, chain.read = lambda entries: entries, 0
        assert entries_in(kept, chain.state.history_head) == whole
        assert chain.read <= len(whole) // 2 + 5


class TestTheHead:
    def test_is_what_folding_gives(self, chain: Counting, kept: KeptLog) -> None:
        play(chain.ledger, 2)
        head = chain.state.history_head
        assert head_of(chain.chain_id, chain.contract, 1, entries_in(kept, head)) == head

    def test_is_not_reached_by_a_log_that_lags(self, chain: Counting, kept: KeptLog) -> None:
        play(chain.ledger, 60)
        entries_in(kept, chain.state.history_head)
        play(chain.ledger, 1)
        chain.shows = lambda entries: entries[:-3]
        chain.read = 0
        for _ in range(5):
            with pytest.raises(HistoryInvalid, match="does not lead to its history head"):
                entries_in(kept, chain.state.history_head)
        assert chain.read < 5 * 2 * REORGANISED_BLOCKS  # All of it is never read again.
        chain.shows = lambda entries: entries
        assert entries_in(kept, chain.state.history_head) == list(chain.ledger.history(1))

    @pytest.mark.parametrize("position", [0, 1, 5, -2])
    def test_is_not_reached_without_any_of_the_entries(
        self, chain: Counting, kept: KeptLog, position: int
    ) -> None:
        play(chain.ledger, 2)
        chain.shows = lambda entries: [one for one in entries if one is not entries[position]]
        with pytest.raises(HistoryInvalid, match="does not lead to its history head"):
            entries_in(kept, chain.state.history_head)
        chain.shows = lambda entries: entries
        assert entries_in(kept, chain.state.history_head) == list(chain.ledger.history(1))

    @pytest.mark.parametrize("kept_rounds", [1, 5, 60])
    @pytest.mark.parametrize("common_rounds", [0, 2])
    def test_of_another_branch_has_another_log(
        self, tmp_path: Path, kept_rounds: int, common_rounds: int
    ) -> None:
        """The chain is reorganised: what was kept is dropped as far back as it has to be."""
        branches = []
        for rounds in (kept_rounds, 3):
            ledger = MemoryLedger(clock=Clock())
            ledger.open_task(b"\1" * 32, b"\2" * 32, MEMBERS, TERMS)
            play(ledger, common_rounds)
            if ledger.task_state(1).round == common_rounds + 1 and branches:
                decline(ledger)
            play(ledger, rounds)
            branches.append(Counting(ledger))
        path = tmp_path / "log.sqlite"
        for chain in (*branches, *branches):
            kept = KeptLog(chain, 1, path)
            assert entries_in(kept, chain.state.history_head) == list(chain.ledger.history(1))

    def test_of_a_log_that_leads_nowhere_is_its_own(self, chain: Counting, kept: KeptLog) -> None:
        play(chain.ledger, 1)
        chain.shows = lambda entries: entries[:-1]
        with kept.read_towards(chain.state.history_head) as log:
            assert list(log.entries()) == list(chain.ledger.history(1))[:-1]
            assert log.head != chain.state.history_head
        chain.shows = lambda entries: []
        with kept.read_towards(b"\7" * 32) as log:
            assert list(log.entries()) == list(log.last_final_rounds()) == []
            assert log.members() == ()
            assert log.head == first_head(chain.chain_id, chain.contract, 1)


class TestTheFile:
    @pytest.mark.parametrize(
        "spoil",
        [
            lambda path: path.write_bytes(
                b"not a database, but long enough to look like one" * 100
            ),
            lambda path: path.write_bytes(path.read_bytes()[:5000]),
            lambda path: path.write_bytes(b""),
            lambda path: alter(path, "UPDATE entries SET event = zeroblob(100) WHERE position = 1"),
            lambda path: alter(path, "UPDATE entries SET time = 'noon' WHERE position = 1"),
            lambda path: alter(path, "UPDATE entries SET head = zeroblob(32) WHERE position = 1"),
            lambda path: alter(path, "DELETE FROM entries WHERE position = 0"),
            lambda path: alter(path, "ALTER TABLE entries ADD COLUMN more"),
            lambda path: alter(path, "CREATE TABLE entries2 (more)"),
            lambda path: alter(
                path,
                "CREATE TRIGGER planted AFTER DELETE ON entries BEGIN DELETE FROM entries; END",
            ),
        ],
    )
    def test_that_is_damaged_is_thrown_away(
        self, chain: Counting, kept: KeptLog, tmp_path: Path, spoil: Callable[[Path], object]
    ) -> None:
        play(chain.ledger, 2)
        whole = entries_in(kept, chain.state.history_head)
        spoil(tmp_path / "log.sqlite")
        for _ in range(2):  # The first may have to say that it was.
            try:
                found = entries_in(kept, chain.state.history_head)
            except HistoryInvalid as trouble:
                assert "was damaged" in str(trouble)
        assert found == whole

    def test_whose_last_heads_are_wrong_is_read_again(
        self, chain: Counting, kept: KeptLog, tmp_path: Path
    ) -> None:
        play(chain.ledger, 2)
        entries_in(kept, chain.state.history_head)
        alter(tmp_path / "log.sqlite", "UPDATE entries SET head = randomblob(32)")
        play(chain.ledger, 1)
        assert entries_in(kept, chain.state.history_head) == list(chain.ledger.history(1))

    def test_that_is_no_file_is_not_opened(
        self, chain: Counting, kept: KeptLog, tmp_path: Path
    ) -> None:
        os.mkfifo(tmp_path / "log.sqlite")
        with pytest.raises(StateUnusable, match="not a regular file"):
            entries_in(kept, chain.state.history_head)

    def test_that_is_too_long_is_not_opened(
        self, chain: Counting, kept: KeptLog, tmp_path: Path
    ) -> None:
        with (tmp_path / "log.sqlite").open("wb") as sparse:
            sparse.truncate(log_file.MAX_FILE_BYTES + 1)
        with pytest.raises(StateUnusable, match="at most"):
            entries_in(kept, chain.state.history_head)

    def test_in_a_folder_that_is_not_there(self, chain: Counting, tmp_path: Path) -> None:
        with pytest.raises(StateUnusable, match="unable to open"):
            entries_in(KeptLog(chain, 1, tmp_path / "no" / "log"), chain.state.history_head)

    def test_of_another_process_is_waited_for_but_not_for_ever(
        self, chain: Counting, kept: KeptLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log_file, "LOCK_SECONDS", 0.01)
        other = KeptLog(chain, 1, tmp_path / "log.sqlite")
        with kept.read_to(chain.state.history_head), pytest.raises(StateUnusable, match="locked"):
            entries_in(other, chain.state.history_head)
        assert entries_in(other, chain.state.history_head)

    @pytest.mark.parametrize("existing", [False, True], ids=["new", "existing"])
    def test_is_opened_by_several_at_once_one_after_another(
        self,
        chain: Counting,
        kept: KeptLog,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        existing: bool,
    ) -> None:
        """None keeps a lock from opening the file while it waits for the others to close it."""
        play(chain.ledger, 1)
        head = chain.state.history_head
        whole = entries_in(kept, head) if existing else list(chain.ledger.history(1))
        monkeypatch.setattr(log_file, "LOCK_SECONDS", 20.0)
        monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=together(3)))
        with ThreadPoolExecutor(3) as pool:
            logs = [KeptLog(chain, 1, tmp_path / "log.sqlite") for _ in range(3)]
            assert [*pool.map(entries_in, logs, [head] * 3)] == [whole] * 3

    def test_numbers_that_no_log_has_are_refused(self, chain: Counting, kept: KeptLog) -> None:
        chain.shows = lambda entries: [replace(one, block_number=1 << 64) for one in entries]
        with pytest.raises(HistoryInvalid, match="no log has such entries"):
            entries_in(kept, chain.state.history_head)


def alter(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()


def together(count: int) -> type[sqlite3.Connection]:
    """Connections of which so many have to be about to lock their file before the first of them does."""
    barrier = Barrier(count, timeout=60)

    class Together(sqlite3.Connection):
        def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
            if statement == "BEGIN EXCLUSIVE":
                barrier.wait()
            return super().execute(statement, *parameters)

    return Together


class TestPast:
    def test_grows_by_what_is_new(self, chain: Counting, kept: KeptLog) -> None:
        growing = GrowingPast(MEMBERS)
        for _ in range(4):
            play(chain.ledger, 2)
            decline(chain.ledger)
            with kept.read_to(chain.state.history_head) as log:
                known = growing.up_to(log)
            finals = final_rounds(chain.ledger.history(1))
            assert list(known) == [past_of(MEMBERS, final) for final in finals]

    def test_is_read_again_after_a_reorganisation(self, tmp_path: Path) -> None:
        growing = GrowingPast(MEMBERS)
        for rounds in (4, 2, 6):
            ledger = MemoryLedger(clock=Clock())
            ledger.open_task(bytes([rounds]) * 32, b"\2" * 32, MEMBERS, TERMS)
            play(ledger, rounds)
            kept = KeptLog(ledger, 1, tmp_path / "log.sqlite")
            with kept.read_to(ledger.task_state(1).history_head) as log:
                known = growing.up_to(log)
            assert list(known) == [past_of(MEMBERS, one) for one in final_rounds(ledger.history(1))]

    def test_recently_goes_back_to_the_last_updates(self, chain: Counting, kept: KeptLog) -> None:
        play(chain.ledger, 5)
        decline(chain.ledger)
        decline(chain.ledger)
        with kept.read_to(chain.state.history_head) as log:
            recent = recent_past(MEMBERS, log)
        assert [len(one.reveals) for one in recent] == [2, 0, 0]


def test_what_opens_a_round_again_is_no_first_opening(chain: Counting, kept: KeptLog) -> None:
    clock = chain.ledger._chain.clock
    assert isinstance(clock, Clock)
    clock.time += 1_000
    chain.ledger.advance(1)
    with kept.read_to(chain.state.history_head) as log:
        openings = [one.event for one in log.entries() if isinstance(one.event, RoundOpened)]
        assert [opening.attempt for opening in openings] == [0, 1]
        assert log.attempts() == Attempts((), ())
