"""Reads a task's log from an endpoint, a range of blocks at a time, and checks what it says."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

from chain import answers
from chain.answers import Log
from chain.block_times import BlockTimes
from chain.connection import Connection
from chain.decoding import event_from_log
from chain.errors import ChainRefused, ChainUnreachable, HistoryInvalid, LedgerUnusable
from chain.history import SELECTORS
from chain.types import Address, Entry, TaskOpened

FIRST_BLOCKS, MOST_BLOCKS = 1_000, 10_000
"""Blocks in one request for logs, the first and later ones. If a node allows fewer, it is halved until it answers."""

LOGS = 1_000
"""The logs that an answer should have: a request asks for as many blocks as are likely to hold them, so that neither
the node nor whoever reads a long history has more of it at hand than that."""

MAX_BLOCKS = 100_000_000
"""The most blocks searched for a task's history: 38 years of mainnet, 290 days at four blocks a second."""

HISTORY_SECONDS = 900.0
"""The longest that reading one task's history may take, over all its requests."""

MAX_ENTRIES = 1 << 20
"""The most entries read of one task's history: some 3000 rounds of 96 members."""


class LogReader:
    """The log of the contract at an address.

    Args:
        connection: The endpoint, which is not trusted.
        contract: The contract's address.
        first_block: The first block that is searched, for example the deployment's.
    """

    def __init__(self, connection: Connection, contract: Address, first_block: int) -> None:
        self._connection = connection
        self._contract = contract
        self._first_block = first_block
        self._times = BlockTimes(connection)

    def entries(self, task: int, from_block: int = 0) -> Iterator[Entry]:
        """The task's entries from a block on, oldest first; read range by range, as they are asked for.

        Raises:
            LedgerUnusable: `task` is not a number that a task can have.
            HistoryInvalid: The node's logs are of another task, out of order, or too many.
            ChainUnreachable: It took too long.
        """
        ends, count, last = time.monotonic() + HISTORY_SECONDS, 0, (-1, -1)
        for logs in self._ranges(task, from_block):
            for entry in self.entries_of(logs):
                last = _verify_next(task, last, entry)
                yield entry
                count += 1
                if count > MAX_ENTRIES:
                    raise HistoryInvalid(
                        f"the node gave more than {MAX_ENTRIES} logs of task {task}"
                    )
                _verify_time(ends)
            _verify_time(ends)

    def opening(self, task: int) -> TaskOpened | None:
        """The opening of the task, without the rest of its log; None if the log does not show it.

        Raises:
            As for `entries`.
        """
        ends = time.monotonic() + HISTORY_SECONDS
        for logs in self._ranges(task, 0, SELECTORS[TaskOpened]):
            for entry in self.entries_of(logs):
                _verify_next(task, (-1, -1), entry)
                if isinstance(entry.event, TaskOpened):
                    return entry.event
            _verify_time(ends)
        return None

    def entries_of(self, logs: Sequence[Log]) -> Iterator[Entry]:
        """The entries that logs of the contract record, with the times of their blocks.

        Raises:
            HistoryInvalid: A log is none of the contract's events, or the node does not have its block.
        """
        for log, timestamp in self._times.of(logs):
            yield Entry(
                event=event_from_log(log),
                block_number=log.block_number,
                log_index=log.log_index,
                timestamp=timestamp,
                transaction=log.transaction,
                block_hash=log.block_hash,
            )

    def _ranges(
        self, task: int, from_block: int, event: bytes | None = None
    ) -> Iterator[list[Log]]:
        """The task's logs, asked for in smaller ranges of blocks if the node refuses large ones."""
        if not 0 <= task < 1 << 256:
            raise LedgerUnusable(f"expected a task's number, got {task}")
        if from_block > self._first_block:  # Who has read the beginning lacks only a few blocks.
            with suppress(ChainRefused):
                yield self._logs(task, from_block, None, event)
                return
        first, count = max(from_block, self._first_block), FIRST_BLOCKS
        last = self._connection.ask(answers.quantity, "eth_blockNumber")
        if last - first > MAX_BLOCKS:
            raise HistoryInvalid(
                f"the node's newest block is {last}, more than {MAX_BLOCKS} after block {first}"
            )
        while first <= last:
            until = min(first + count - 1, last)
            try:
                found = self._logs(task, first, until, event)
            except ChainRefused:
                if until == first:
                    raise
                count = (until - first + 1) // 2
                continue
            yield found
            first, count = until + 1, next_range(count, len(found))

    def _logs(self, task: int, first: int, last: int | None, event: bytes | None) -> list[Log]:
        """The logs of a range of blocks; up to the newest if `last` is None."""
        query = {
            "address": self._contract,
            "topics": [
                None if event is None else "0x" + event.hex(),
                "0x" + task.to_bytes(32, "big").hex(),
            ],
            "fromBlock": hex(first),
            "toBlock": "latest" if last is None else hex(last),
        }
        found = self._connection.ask(answers.logs, "eth_getLogs", query)
        for log in found:
            if log.block_number < first or (last is not None and log.block_number > last):
                until = "latest" if last is None else last
                raise HistoryInvalid(
                    f"asked for logs of blocks {first} to {until}, got one of {log.block_number}"
                )
            if log.address != self._contract:
                raise HistoryInvalid(
                    f"asked for logs of {self._contract}, got one of {log.address}"
                )
        return found


def next_range(count: int, found: int) -> int:
    """How many blocks to ask for, after so many blocks had so many logs: for about `LOGS` of them."""
    likely = count * LOGS // found if found else MOST_BLOCKS
    return max(1, min(likely, 2 * count, MOST_BLOCKS))


def _verify_time(ends: float) -> None:
    if time.monotonic() > ends:
        raise ChainUnreachable(f"the node did not give the whole log in {HISTORY_SECONDS:g} s")


def _verify_next(task: int, last: tuple[int, int], entry: Entry) -> tuple[int, int]:
    """Check that an entry comes after the last one and is of the task; its position."""
    position = entry.block_number, entry.log_index
    if position <= last:
        raise HistoryInvalid(f"the node gave task {task}'s logs twice or out of order")
    if entry.event.task != task:
        raise HistoryInvalid(f"asked for the logs of task {task}, got one of {entry.event.task}")
    return position
