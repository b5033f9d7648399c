"""What must hold whatever the weather was: docs/reliability.md, as a function of a task's history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from chain.types import (
    Address,
    AggregateAttested,
    Entry,
    Event,
    RoundFinalised,
    RoundOpened,
    RoundSkipped,
    UpdateCommitted,
    UpdateRevealed,
)
from fl_node.audit.report import AuditReport
from fl_node.history.record import members_in

Act = tuple[str, int, int, Address]
"""What, in which round and attempt, by whom."""


def broken(
    entries: Sequence[Entry],
    members: Sequence[Address],
    report: AuditReport,
    expected: bytes,
    final: bytes,
    one_folder: bool = True,
) -> list[str]:
    """The promises that a finished task's history breaks, a line for each; none is the good answer.

    Args:
        entries: The task's log.
        members: In ascending order.
        report: Its audit.
        expected: The digest with which the task ends if every update arrives.
        final: The digest with which it ended.
        one_folder: Whether each member had but one state folder, so that it trained once for each parent.
    """
    events = [entry.event for entry in entries]
    said = [f"the audit found {finding}" for finding in report.findings]
    said += [f"done twice: {act}" for act in twice(events)]
    said += [f"revealed and lost: {lost}" for lost in lost_updates(events, members)]
    if one_folder:
        said += [f"trained twice: {again}" for again in trained_twice(events)]
    if everybody_counted(events, members) and final != expected:
        said.append(f"ended with {final.hex()}, undisturbed with {expected.hex()}")
    return said


def twice(events: Iterable[Event]) -> list[Act]:
    """What a member did a second time in the same attempt."""
    attempt, done = 0, Counter[Act]()
    for event in events:
        match event:
            case RoundOpened():
                attempt = event.attempt
            case UpdateCommitted() | UpdateRevealed() | AggregateAttested():
                done[type(event).__name__, event.round, attempt, event.client] += 1
            case RoundSkipped():
                done["UpdateCommitted", event.round, attempt, event.member] += 1
    return [act for act, times in done.items() if times > 1]


def lost_updates(events: Iterable[Event], members: Sequence[Address]) -> list[tuple[int, Address]]:
    """Whose update was revealed in the attempt that became final, and does not count."""
    revealed: list[Address] = []
    lost = []
    for event in events:
        match event:
            case RoundOpened():
                revealed = []
            case UpdateRevealed():
                revealed.append(event.client)
            case RoundFinalised():
                counted = members_in(members, event.included)
                lost += [(event.round, one) for one in revealed if one not in counted]
    return lost


def trained_twice(events: Iterable[Event]) -> list[tuple[int, Address]]:
    """Who revealed different updates in attempts at the same round."""
    first: dict[tuple[int, Address], bytes] = {}
    again = []
    for event in events:
        if isinstance(event, UpdateRevealed):
            key, digest = (event.round, event.client), event.reveal.update_digest
            if first.setdefault(key, digest) != digest:
                again.append(key)
    return again


def everybody_counted(events: Iterable[Event], members: Sequence[Address]) -> bool:
    """Whether every member's update is in every round."""
    everybody = (1 << len(members)) - 1
    return all(one.included == everybody for one in events if isinstance(one, RoundFinalised))
