"""Looks at a task: its state, the time, and whether a reorganisation may still take that state back.

Over one connection a look is one HTTP request. Where two endpoints must agree, each is looked at by itself, and what
counts is the newest block that two of them know, if they show the same history head there.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from chain.accounts import DEV_CHAIN_IDS
from chain.connection import Connection
from chain.decoding import task_state_from
from chain.endpoint import Question
from chain.errors import ChainRefused, ChainUnreachable, HistoryInvalid, LedgerError
from chain.newest import NewestBlocks
from chain.types import Address, Look, Phase, TaskState
from chain.views import view_question

Settling = int | Literal["finalized"]
"""When a state is settled: so many blocks deep, 0 for at once, or in a block that the chain calls final."""

MAX_DEPTH = 1000
"""The most blocks that a state may be asked to be deep; nodes keep the states of about 100 by default."""

DEPTH = 2
"""How deep a state is settled on other chains, unless told otherwise."""

IDLE_SECONDS = 30.0
"""After so long without a block, the newest is settled: where blocks come only with transactions, none may follow."""


def settling_on(chain_id: int) -> Settling:
    """When a state is settled on a chain, unless told otherwise.

    Local test chains make a block for each transaction, and never reorganise by themselves.
    """
    return 0 if chain_id in DEV_CHAIN_IDS else DEPTH


def is_settled(state: TaskState, deep: TaskState | None, now: int) -> bool:
    """Whether the phase that a task is in stays: a deep block shows it too, or waiting would miss the deadline.

    Args:
        state: The task's newest state.
        deep: Its state in a settled block; None if it was not there yet.
        now: The chain's time. In the second half of a window a member acts, settled or not.
    """
    if deep is not None and _phase_of(deep) == _phase_of(state):
        return True
    window = {
        Phase.COMMIT: state.terms.commit_window,
        Phase.REVEAL: state.terms.reveal_window,
        Phase.ATTEST: state.terms.attest_window,
    }.get(state.phase)
    return window is not None and 2 * (state.deadline - now) < window


def _phase_of(state: TaskState) -> tuple[int, int, Phase]:
    return state.round, state.attempt, state.phase


class Lookout:
    """Looks at the tasks of a contract.

    Args:
        connections: One, whose endpoints stand in for each other; or several, of which two must agree.
        contract: The contract's address.
        settling: When a state is settled.
    """

    def __init__(
        self, connections: Sequence[Connection], contract: Address, settling: Settling
    ) -> None:
        self._connections = list(connections)
        self._contract = contract
        self._settling = settling

    def look(self, task: int) -> Look:
        """Look at a task.

        Raises:
            HistoryInvalid: A node gives a state that no task can be in, or two contradict each other.
            ChainUnreachable: No endpoint answers, or fewer than two where two must agree.
            CallRejected: There is no such task.
        """
        if len(self._connections) == 1:
            return self._look_once(self._connections[0], task)
        return self._agreed(task)

    def settled_state(self, task: int) -> TaskState:
        """The task's state in the newest settled block, as the endpoints that stand in for each other show it.

        Raises:
            HistoryInvalid: The node gives a state that no task can be in.
            ChainUnreachable, ChainRefused: No endpoint answers, or none remembers that block.
            CallRejected: There was no such task yet.
        """
        connection, newest = self._connections[0], NewestBlocks()
        if self._settling == "finalized" or not self._settling:
            return connection.answer_to(self._state(task, self._settling or "latest"))
        connection.ask_all(newest.all)
        block = max(_number_of(newest, connection) - self._settling, 0)
        return connection.answer_to(self._state(task, hex(block)))

    def _look_once(self, connection: Connection, task: int) -> Look:
        head, newest = connection.pace.head, NewestBlocks()
        state, deep = self._state(task, "latest"), self._deep(task, head)
        connection.ask_all([state, *([deep] if deep else []), *newest.all])
        return self._judged(connection, state.answer(), deep, newest)

    def _judged(
        self,
        connection: Connection,
        state: TaskState,
        deep: Question[TaskState] | None,
        newest: NewestBlocks,
    ) -> Look:
        now = _now(newest, connection)
        pace = connection.pace
        at_once = self._settling == 0
        idle = self._settling != "finalized" and pace.since_last > IDLE_SECONDS
        settled = at_once or idle or is_settled(state, _there(deep), now)
        return Look(state, now, settled, pace.until_next)

    def _deep(self, task: int, head: int | None) -> Question[TaskState] | None:
        """The task's state in a settled block, counted from the newest block that is known; None if there is none."""
        if self._settling == "finalized":
            return self._state(task, "finalized")
        if self._settling == 0 or head is None or head < self._settling:
            return None
        return self._state(task, hex(head - self._settling))

    def _state(self, task: int, block: str) -> Question[TaskState]:
        return state_question(self._contract, task, block)

    def _agreed(self, task: int) -> Look:
        """What two endpoints agree on, at the newest block that two of them know."""
        seen = sorted(self._heads(), key=lambda one: -one.head)
        if len(seen) < 2:
            raise ChainUnreachable(f"two endpoints must agree, but only {len(seen)} answers")
        block = seen[1].head
        found = [
            (one, state, deep)
            for one in seen
            if one.head >= block
            for state, deep in [self._at(one.connection, task, block)]
        ]
        for number, (one, state, deep) in enumerate(found):
            if any(other.history_head == state.history_head for _, other, _ in found[:number]):
                return self._judged(one.connection, state, deep, one.newest)
        raise HistoryInvalid(
            f"the endpoints contradict each other about task {task} at block {block}: "
            + ", ".join(
                f"{one.connection} says {state.history_head.hex()}" for one, state, _ in found
            )
        )

    def _heads(self) -> list[_Head]:
        """The newest blocks of the endpoints that answer."""
        heads = []
        for connection in self._connections:
            newest = NewestBlocks()
            try:
                connection.ask_all(newest.all)
                heads.append(_Head(connection, _number_of(newest, connection), newest))
            except (ChainRefused, ChainUnreachable):
                continue
        return heads

    def _at(
        self, connection: Connection, task: int, block: int
    ) -> tuple[TaskState, Question[TaskState] | None]:
        state, deep = self._state(task, hex(block)), self._deep(task, block)
        connection.ask_all([state, *([deep] if deep else [])])
        return state.answer(), deep


def state_question(contract: Address, task: int, block: str) -> Question[TaskState]:
    """The task's state in a block, by number or tag; its answer may raise HistoryInvalid."""
    return view_question(contract, task_state_from, "taskState", task, block=block)


def _there(deep: Question[TaskState] | None) -> TaskState | None:
    """A deep state; None if the task was not there yet, or the node has forgotten that block."""
    if deep is None:
        return None
    try:
        return deep.answer()
    except LedgerError:
        return None


def _number_of(newest: NewestBlocks, connection: Connection) -> int:
    """The number of the newest block."""
    number = newest.latest(connection).number
    if number is None:
        raise ChainUnreachable(f"{connection} has no latest block")
    return number


def _now(newest: NewestBlocks, connection: Connection) -> int:
    """The time of a call made now: the pending block's, or the clock's if the node builds no blocks itself."""
    latest, pending = newest.seen(connection), newest.pending()
    if pending is not None:
        return pending.timestamp
    return max(latest.timestamp if latest else 0, int(time.time()))


@dataclass(frozen=True, slots=True)
class _Head:
    """The newest block that an endpoint knows."""

    connection: Connection
    head: int
    newest: NewestBlocks
