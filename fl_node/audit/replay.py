"""Replays the chain's log through the Python model of the contract (audit step A3)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from chain import rules
from chain.errors import CallRejected, TaskUnknown
from chain.rules import Site
from chain.types import (
    Address,
    AggregateAttested,
    Entry,
    Event,
    MemberRejoined,
    RoundSkipped,
    TaskOpened,
    UpdateCommitted,
    UpdateRevealed,
)


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first difference between the log and the rules: the recorded entry, and the event that the rules give.

    `recorded` is None if the log ends too early.
    """

    recorded: Entry | None
    expected: str


def replay(
    chain_id: int, contract: Address, task: int, entries: Iterable[Entry]
) -> Divergence | None:
    """Repeat every call that the log shows, at the recorded times, and compare.

    The model draws the cohorts anew: a recorded seed that does not follow from the round's parent is a difference.

    The next event tells which call was made: `UpdateCommitted` comes from `commit`, and so on. An event that no
    member's call emits comes from `advance`.

    Args:
        chain_id, contract, task: Identify the log.
        entries: Oldest first; each is read once.

    Returns:
        The first difference between the log and the rules; None if they agree throughout.
    """
    model = Model(Site(chain_id, contract), task)
    expected: deque[Event] = deque()
    for recorded in entries:
        if not expected:
            try:
                expected.extend(model.repeat(recorded.event, recorded.timestamp))
            except CallRejected as rejection:
                return Divergence(
                    recorded, f"no such call: the contract refuses it with {rejection}"
                )
        if recorded.event != expected[0]:
            return Divergence(recorded, str(expected[0]))
        expected.popleft()
    return Divergence(None, str(expected[0])) if expected else None


class Model:
    """One task by the rules, from its opening on."""

    def __init__(self, site: Site, number: int) -> None:
        self._site = site
        self._number = number
        self._task: rules.Task | None = None

    def repeat(self, event: Event, now: int) -> list[Event]:
        """Make the call that an event shows, and give the events that it emits.

        Raises:
            CallRejected: The contract refuses such a call.
        """
        task = self._after(event, now)
        events = list(task.recorded)
        task.recorded.clear()
        return events

    def _after(self, event: Event, now: int) -> rules.Task:
        match event:
            case TaskOpened(_, coordinator, manifest_digest, genesis_digest, members, terms):
                # A task is opened once: a second opening is another task's.
                number = self._number if self._task is None else self._number + 1
                what = (manifest_digest, genesis_digest, members, terms)
                self._task = rules.open_task(self._site, number, coordinator, now, *what)
                return self._task
        if self._task is None:
            raise TaskUnknown(self._number)
        _repeat(self._task, event, now)
        return self._task


def _repeat(task: rules.Task, event: Event, now: int) -> None:
    match event:
        case UpdateCommitted(_, round, client, commitment):
            task.commit(client, now, round, commitment)
        case RoundSkipped(_, round, member):
            task.skip(member, now, round)
        case UpdateRevealed(_, round, client, opening):
            task.reveal(client, now, round, opening)
        case AggregateAttested(_, round, client, digest, included):
            task.attest(client, now, round, digest, included)
        case MemberRejoined(_, member):
            task.rejoin(member)
        case _:
            task.advance(now)
