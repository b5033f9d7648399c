"""A task's log, kept on this machine, so that only what is new is asked of the chain.

The contract's history head commits to every event in its order. Whoever needs the log gives the head that the task's
state shows; what is kept is extended until its own head is that one. If it cannot be, the chain was reorganised, the
endpoint's log lags behind its state, or what is kept is wrong: it is read again, from further back each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chain.errors import HistoryInvalid
from chain.history import first_head
from chain.ledger import LedgerReader
from chain.types import Address, Entry
from fl_node.history import record
from fl_node.history.log_file import LogFile, open_log_file
from fl_node.history.record import Attempts, RecordedRound, attempts_of_current_round, final_rounds

REORGANISED_BLOCKS = 128
"""Blocks that are read again if the log does not lead to the state's head; deeper reorganisations mean all of it."""


class TaskLog:
    """A task's log up to one entry, read from a file piece by piece."""

    def __init__(self, file: LogFile, until: int) -> None:
        self._file = file
        self._until = until

    @property
    def head(self) -> bytes:
        """The history head after the last entry, 32 bytes."""
        return self._file.head_before(self._until + 1)

    @property
    def length(self) -> int:
        """The number of entries."""
        return self._until + 1

    def whole(self) -> TaskLog:
        """The log with what the ledger shows after the last entry."""
        return TaskLog(self._file, self._file.length() - 1)

    def head_after(self, entries: int) -> bytes | None:
        """The history head after so many entries, from 0; None if there are not so many."""
        return self._file.head_before(entries) if 0 <= entries <= self.length else None

    def head_before(self, round: int) -> bytes | None:
        """The history head before a round was first opened; None if it was not."""
        position = self._file.opening_of(round)
        if position is None or position > self._until:
            return None
        return self._file.head_before(position)

    def entries(self) -> Iterator[Entry]:
        """All entries, oldest first."""
        return self._file.entries(0, self._until)

    def last(self) -> Entry | None:
        """The last entry; None if there is none."""
        return next(self._file.entries(max(self._until, 0), self._until), None)

    def members(self) -> tuple[Address, ...]:
        """The members that the task was opened with; empty if the log lacks the opening."""
        return record.members_of(self._file.entries(0, min(self._until, 0)))

    def attempts(self) -> Attempts:
        """The attempts of the current round so far."""
        return attempts_of_current_round(self._round(self._file.last_round(self._until)))

    def final_rounds(self, since: int = 1) -> Iterator[RecordedRound]:
        """The final rounds from one on, oldest first."""
        first = self._file.opening_of(since)
        if first is None or first > self._until:
            return iter(())
        return final_rounds(self._file.entries(first, self._until))

    def last_final_rounds(self) -> Iterator[RecordedRound]:
        """The final rounds, newest first."""
        for round in range(self._file.last_round(self._until), 0, -1):
            yield from final_rounds(self._round(round))

    def _round(self, round: int) -> Iterator[Entry]:
        """The entries from a round's first opening up to the next round's."""
        first, after = self._file.opening_of(round), self._file.opening_of(round + 1)
        if first is None:
            return iter(())
        last = self._until if after is None else min(after - 1, self._until)
        return self._file.entries(first, last)


class KeptLog:
    """A task's log in a file of this machine.

    Args:
        ledger: Gives the log.
        task: The task's number.
        path: The file, which is begun if it does not exist; nobody else may use it for another log at the same time.
    """

    def __init__(self, ledger: LedgerReader, task: int, path: Path) -> None:
        self._ledger = ledger
        self._task = task
        self._path = path

    @contextmanager
    def read_to(self, head: bytes) -> Iterator[TaskLog]:
        """The task's log up to a head, verified by it.

        Args:
            head: The history head that the task's state shows, 32 bytes.

        Raises:
            HistoryInvalid: The ledger's log does not lead to this head (yet), or the file was damaged; try again.
            StateUnusable: The file cannot be read or written.
            ChainUnreachable, ChainRefused: As for `LedgerReader.history`.
        """
        with self.read_towards(head) as log:
            if log.head != head:
                raise HistoryInvalid(
                    f"the log of task {self._task} does not lead to its history head {head.hex()} (yet)"
                )
            yield log

    @contextmanager
    def read_towards(self, head: bytes) -> Iterator[TaskLog]:
        """The task's log up to a head; all of it if it does not lead there, as its own head then shows.

        Raises:
            StateUnusable, ChainUnreachable, ChainRefused: As for `read_to`.
            HistoryInvalid: The log is none at all, or the file was damaged.
        """
        first = first_head(self._ledger.chain_id, self._ledger.contract, self._task)
        with open_log_file(self._path, self._task, first) as file:
            position = file.position_of(head)
            if position is None:
                position = self._extended(file, head)
            yield TaskLog(file, file.length() - 1 if position is None else position)

    def _extended(self, file: LogFile, head: bytes) -> int | None:
        """Read what is missing; the position that has the head, or None."""
        before = file.tip()
        if before is not None:
            for depth in (0, REORGANISED_BLOCKS):
                position = self._reread(file, before.block - depth, head)
                if position is not None:
                    return position
            if file.position_of(before.head) is not None:
                return None  # Nothing of what was kept has changed: the rest is still to come.
        return self._reread(file, 0, head)

    def _reread(self, file: LogFile, block: int, head: bytes) -> int | None:
        """Read the log again from a block on; the position that has the head, or None."""
        file.drop_from(block)
        file.append(self._ledger.history(self._task, max(block, 0)))
        return file.position_of(head)
