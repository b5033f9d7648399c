"""A task's log of events, read as rounds: pure functions over what the chain recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from chain.types import (
    Address,
    Entry,
    RoundAborted,
    RoundFinalised,
    RoundOpened,
    TaskOpened,
    UpdateRevealed,
    address_number,
)
from fl_node.history.past import PastRound


@dataclass(frozen=True, slots=True)
class RecordedRound:
    """One final round, as recorded.

    Attributes:
        opened: The opening of the attempt that became final.
        reveals: That attempt's reveals, in the order of the log.
        finalised: The result.
        abandoned: Reveals of the earlier, aborted attempts.
        opened_at, finalised_at: Times of the first opening and of the result, in seconds since 1970.
    """

    opened: RoundOpened
    reveals: tuple[UpdateRevealed, ...]
    finalised: RoundFinalised
    abandoned: tuple[UpdateRevealed, ...]
    opened_at: int
    finalised_at: int


def final_rounds(entries: Iterable[Entry]) -> Iterator[RecordedRound]:
    """Read the final rounds from a task's log.

    Args:
        entries: Oldest first. An incomplete log gives the rounds that it contains completely.

    Yields:
        Each round when its last entry was read.
    """
    opened: Entry | None = None
    opened_at = 0
    reveals: list[UpdateRevealed] = []
    abandoned: list[UpdateRevealed] = []
    for entry in entries:
        match entry.event:
            case RoundOpened(attempt=attempt):
                opened_at = entry.timestamp if attempt == 0 else opened_at
                opened, reveals = entry, []
            case UpdateRevealed() as revealed:
                reveals.append(revealed)
            case RoundAborted():
                abandoned += reveals
                reveals = []
            case RoundFinalised() as finalised if opened and isinstance(opened.event, RoundOpened):
                yield RecordedRound(
                    opened.event,
                    tuple(reveals),
                    finalised,
                    tuple(abandoned),
                    opened_at,
                    entry.timestamp,
                )
                opened, reveals, abandoned = None, [], []


def past_round(
    parent_digest: bytes, reveals: Iterable[UpdateRevealed], included: Sequence[Address]
) -> PastRound:
    """What members that train later learn from a final round."""
    kept = [revealed for revealed in reveals if revealed.client in included]
    kept.sort(key=lambda revealed: address_number(revealed.client))
    return PastRound(parent_digest, tuple(revealed.reveal for revealed in kept))


def past_of(members: Sequence[Address], final: RecordedRound) -> PastRound:
    """What members that train later learn from a final round, of which the log has more.

    Args:
        members: The task's members, in ascending order of address.
        final: The round.
    """
    included = members_in(members, final.finalised.included)
    return past_round(final.opened.parent_digest, final.reveals, included)


def included_in(members: Sequence[Address], final: RecordedRound) -> tuple[UpdateRevealed, ...]:
    """The reveals of a final round's included updates, in the order of the log."""
    included = members_in(members, final.finalised.included)
    return tuple(one for one in final.reveals if one.client in included)


def members_of(entries: Iterable[Entry]) -> tuple[Address, ...]:
    """The members that a task was opened with; empty if the log lacks the opening."""
    events = (entry.event for entry in entries)
    return next((event.members for event in events if isinstance(event, TaskOpened)), ())


def members_in(members: Sequence[Address], bitmap: int) -> tuple[Address, ...]:
    """The members whose bit is set in a bitmap, in order. Bits beyond the members are ignored."""
    return tuple(member for index, member in enumerate(members) if bitmap >> index & 1)


@dataclass(frozen=True, slots=True)
class Attempts:
    """The attempts of the current round so far.

    Attributes:
        reveals: Reveals of the current attempt, in the order of the log.
        abandoned: Reveals of the earlier, aborted attempts.
    """

    reveals: tuple[UpdateRevealed, ...]
    abandoned: tuple[UpdateRevealed, ...]


def attempts_of_current_round(entries: Iterable[Entry]) -> Attempts:
    """Read the current round from a task's log, or from the part that starts with the round's first opening."""
    reveals: list[UpdateRevealed] = []
    abandoned: list[UpdateRevealed] = []
    for entry in entries:
        match entry.event:
            case RoundOpened(attempt=0):
                reveals, abandoned = [], []
            case RoundOpened():
                abandoned, reveals = abandoned + reveals, []
            case UpdateRevealed() as revealed:
                reveals.append(revealed)
    return Attempts(tuple(reveals), tuple(abandoned))
