"""The rule that a node follows: decides a member's next action from the task's state and the time alone."""

from __future__ import annotations

from enum import Enum, auto

from chain.types import Phase, TaskState


class Action(Enum):
    """A member's next action."""

    COMMIT = auto()
    SKIP = auto()
    REVEAL = auto()
    ATTEST = auto()
    ADVANCE = auto()
    REJOIN = auto()
    WAIT = auto()
    FINISHED = auto()


_ACTS = {Phase.COMMIT: Action.COMMIT, Phase.REVEAL: Action.REVEAL, Phase.ATTEST: Action.ATTEST}


def next_action(state: TaskState, index: int, now: int) -> Action:
    """Decide what the member at `index` does next.

    Args:
        state: The task as the contract shows it.
        index: The member's index, 0 to 95.
        now: The chain's time in seconds.
    """
    bit = 1 << index
    if state.phase is Phase.FINISHED:
        return Action.FINISHED
    if now > state.deadline:
        return Action.ADVANCE
    if state.awaited & bit:
        return _ACTS[state.phase]
    if state.absent & bit:
        return Action.REJOIN
    return Action.WAIT
