"""The past as a node keeps it while it runs: each final round is read once."""

from __future__ import annotations

from collections.abc import Sequence

from chain.types import Address
from fl_node.history.kept import TaskLog
from fl_node.history.past import Past, PastRound
from fl_node.history.record import past_of


class GrowingPast:
    """All final rounds of a task.

    Args:
        members: The task's members, in ascending order of address.
    """

    def __init__(self, members: Sequence[Address]) -> None:
        self._members = members
        self._rounds: list[PastRound] = []
        self._head: bytes | None = None

    def up_to(self, log: TaskLog) -> Past:
        """The final rounds that a log shows, oldest first; rounds that were seen before are not read again."""
        if log.head_before(len(self._rounds) + 1) != self._head:
            self._rounds = []  # The chain was reorganised, or this is the first time.
        for final in log.final_rounds(len(self._rounds) + 1):
            self._rounds.append(past_of(self._members, final))
        self._head = log.head_before(len(self._rounds) + 1)
        return tuple(self._rounds)


def recent_past(members: Sequence[Address], log: TaskLog) -> Past:
    """The final rounds from the last one with updates on, oldest first."""
    rounds: list[PastRound] = []
    for final in log.last_final_rounds():
        rounds.insert(0, past_of(members, final))
        if rounds[0].reveals:
            break
    return tuple(rounds)
