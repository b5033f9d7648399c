"""What a waiting node says: whom it waits for, until when, and whether another node acts for its account."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from chain.types import Address, Phase, TaskState
from fl_node.cli.words import short
from fl_node.history.record import members_in
from fl_node.member.next_action import Action
from fl_node.member.participant import Step
from fl_node.member.state import NodeState


@dataclass(frozen=True, slots=True)
class Awaited:
    """Whom a node waits for.

    Attributes:
        round, attempt, phase: The task's current ones. In a finished task the node waits for no member, but until the
            end is settled and the last model is in the store.
        missing: The members that have not acted in this phase.
        deadline: In seconds since 1970; after it any member can end the phase. 0 in a finished task.
        elsewhere: Whether this node's account committed to an update that is not in this node's state folder.
    """

    round: int
    attempt: int
    phase: Phase
    missing: tuple[Address, ...]
    deadline: int
    elsewhere: bool

    def __str__(self) -> str:
        if self.phase is Phase.FINISHED:
            return (
                f"round {self.round} is final, and the last: "
                "waiting until the chain has settled on it and its model is in the store"
            )
        names = ", ".join(map(short, self.missing)) or "nobody"
        until = datetime.fromtimestamp(self.deadline, UTC).strftime("%H:%M:%S UTC")
        line = f"round {self.round}: waiting in the {self.phase.name.lower()} phase for {names}, until {until}"
        if self.elsewhere:
            line += (
                "; this account has already acted, but not from this state folder: "
                "another node with the same account seems to be running"
            )
        return line


def awaited(
    state: TaskState, members: Sequence[Address], own: Address, folder: NodeState
) -> Awaited:
    """Tell from a task's state whom a member waits for."""
    committed = state.phase is Phase.COMMIT and own in members_in(members, state.committed)
    return Awaited(
        round=state.round,
        attempt=state.attempt,
        phase=state.phase,
        missing=members_in(members, state.awaited),
        deadline=state.deadline,
        elsewhere=committed and folder.plan(state.round, state.parent_digest) is None,
    )


def noticing(
    show: Callable[[Step | Exception | Awaited], None],
    members: Sequence[Address],
    own: Address,
    folder: NodeState,
) -> Callable[[Step | Exception], None]:
    """Show a node's steps, and once in each phase also whom the node waits for."""
    announced: tuple[int, int, Phase] | None = None

    def notice(outcome: Step | Exception) -> None:
        nonlocal announced
        show(outcome)
        if isinstance(outcome, Step) and outcome.action is Action.WAIT:
            phase = (outcome.state.round, outcome.state.attempt, outcome.state.phase)
            if phase != announced:
                show(awaited(outcome.state, members, own, folder))
            announced = phase

    return notice
