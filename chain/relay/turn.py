"""Whose turn it is: pure rules over a look at the task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from chain.acts import read_call
from chain.relay.submission import Submission
from chain.types import BASIS_POINTS, Look, Phase, TaskState

PHASES = {
    "commit": Phase.COMMIT,
    "skip": Phase.COMMIT,
    "reveal": Phase.REVEAL,
    "attest": Phase.ATTEST,
}
"""The phases of the acts that belong to one."""


def objection(submission: Submission, index: int, look: Look) -> str:
    """Why the contract would refuse this act now, by what the state shows; empty if it shows no reason.

    Args:
        submission: Signed by a member of the task.
        index: That member's index.
        look: A look at the task.
    """
    state, bit = look.state, 1 << index
    if state.phase is Phase.FINISHED:
        return "the task is finished"
    if (submission.round, submission.attempt) != (state.round, state.attempt):
        return (
            f"the act is for round {submission.round}, attempt {submission.attempt}; "
            f"the task is at round {state.round}, attempt {state.attempt}"
        )
    match submission.function:
        case "advance":
            left = state.deadline - look.now
            return f"the phase has {left} s left" if left >= 0 else ""
        case "rejoin":
            return "" if state.absent & bit else "the member is not absent"
        case function:
            return _turn_objection(PHASES[function], bit, look)


def _turn_objection(phase: Phase, bit: int, look: Look) -> str:
    state = look.state
    if state.phase is not phase:
        return f"the act is for the {phase.name} phase, the task is in {state.phase.name}"
    if look.now > state.deadline:
        return "the phase is over; it has to be ended by an advance"
    return "" if state.awaited & bit else "nobody waits for this member: it has acted, or may not"


def is_complete(waiting: Sequence[tuple[int, Submission]], state: TaskState) -> bool:
    """Whether waiting for more acts gains nothing: they end the phase.

    Args:
        waiting: The acts at hand, each of this turn, with its member's index.
        state: The task's state.
    """
    acting = [(index, act) for index, act in waiting if act.function in PHASES]
    present = sum(1 << index for index in {index for index, _ in acting})
    if present and not state.awaited & ~present:
        return True
    votes = Counter(_vote(act) for _, act in acting if act.function == "attest")
    most = max(votes.values(), default=0)
    return most * BASIS_POINTS > state.cohort.bit_count() * state.terms.quorum


def _vote(submission: Submission) -> tuple[bytes, int]:
    _, aggregate_digest, included = read_call(submission.act.call).arguments
    return aggregate_digest, included
