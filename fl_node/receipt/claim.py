"""What became of a member's update in a round: pure functions over the task's log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from chain.types import Address, Entry, RoundOpened, UpdateRevealed
from fl_node.history.record import RecordedRound, final_rounds, members_in, members_of


class Outcome(StrEnum):
    """What became of an update in a final round."""

    INCLUDED = "included"
    LEFT_OUT = "left out"
    ABORTED = "aborted"
    NOT_REVEALED = "not revealed"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a receipt says.

    Attributes:
        round: A final round, from 1.
        member: Whose update.
        update: Its digest, 32 bytes; None if none was asked for and the member revealed none.
        attempt: The last attempt at the round, from 0, in which the member revealed it; None if in none.
        outcome: Included in the round's model; left out of it, though revealed in the attempt that became final;
            revealed in aborted attempts only; or not revealed.
    """

    round: int
    member: Address
    update: bytes | None
    attempt: int | None
    outcome: Outcome

    def __str__(self) -> str:
        update = f"update {self.update.hex()}" if self.update else "no update"
        denied = self.outcome is not Outcome.INCLUDED and self.update
        return (
            f"{update} of member {self.member} is {'not ' if denied else ''}in round {self.round}"
        )

    @property
    def reason(self) -> str:
        """How the update came into the round, or why it did not."""
        match self.outcome:
            case Outcome.INCLUDED:
                return f"revealed and included in attempt {self.attempt}, which became final"
            case Outcome.LEFT_OUT:
                return f"revealed and left out in attempt {self.attempt}, which became final"
            case Outcome.ABORTED:
                return (
                    f"revealed in attempt {self.attempt}, which was aborted, and in none after it"
                )
            case Outcome.NOT_REVEALED:
                return f"the member revealed {'another or none' if self.update else 'none'}"


def objection_to(entries: Sequence[Entry], round: int, member: Address) -> str | None:
    """Why a log cannot say what became of a member's update in a round; None if it can.

    Args:
        entries: The task's log, oldest first.
        round: The round's number.
        member: Anybody.
    """
    if member not in members_of(entries):
        return f"{member} is no member of the task"
    if _final(entries, round) is None:
        return f"round {round} is not final at this head"
    return None


def claim_from(
    entries: Sequence[Entry], round: int, member: Address, update: bytes | None = None
) -> Claim:
    """What became of a member's update in a round.

    Args:
        entries: The task's log, oldest first, against which there is no objection.
        round: The round's number.
        member: A member of the task.
        update: The update's digest, 32 bytes; None for the last one that the member revealed in the round.
    """
    revealed = [
        (attempt, one.reveal.update_digest)
        for attempt, one in _reveals(entries, round)
        if one.client == member and update in (None, one.reveal.update_digest)
    ]
    if not revealed:
        return Claim(round, member, update, None, Outcome.NOT_REVEALED)
    attempt, digest = revealed[-1]
    return Claim(round, member, digest, attempt, _outcome(entries, round, member, attempt))


def _outcome(entries: Sequence[Entry], round: int, member: Address, attempt: int) -> Outcome:
    final = _final(entries, round)
    if final is None or attempt != final.opened.attempt:
        return Outcome.ABORTED
    included = members_in(members_of(entries), final.finalised.included)
    return Outcome.INCLUDED if member in included else Outcome.LEFT_OUT


def _final(entries: Iterable[Entry], round: int) -> RecordedRound | None:
    return next((one for one in final_rounds(entries) if one.finalised.round == round), None)


def _reveals(entries: Iterable[Entry], round: int) -> Iterator[tuple[int, UpdateRevealed]]:
    """The reveals of all attempts at a round, oldest first, each with its attempt."""
    attempt = 0
    for entry in entries:
        match entry.event:
            case RoundOpened(round=opened) as opening if opened == round:
                attempt = opening.attempt
            case UpdateRevealed(round=number) as revealed if number == round:
                yield attempt, revealed
