"""What a node has done so far, as numbers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from chain.types import TaskState
from fl_node.blobs.store import Store
from fl_node.cli.node.awaiting import Awaited
from fl_node.cli.node.display import Said, Started, Training
from fl_node.member.next_action import Action
from fl_node.member.participant import Step

STARTING, TRAINING, UPLOADING = "starting", "training", "uploading"
AGGREGATING, WAITING, TROUBLE = "aggregating", "waiting", "trouble"

DOINGS = (STARTING, TRAINING, UPLOADING, AGGREGATING, WAITING, TROUBLE)
"""Everything that a node can be doing, as far as a watch tells it apart."""

_DOING = {
    Action.COMMIT: TRAINING,
    Action.SKIP: TRAINING,
    Action.REVEAL: UPLOADING,
    Action.ATTEST: AGGREGATING,
}

LONGEST_SILENCE = 900.0
"""Seconds without a sign of life before a node counts as stuck: the time that a large aggregate takes."""


class Watch:
    """Counts what a node does. Another thread may read it meanwhile.

    Args:
        clock: Seconds that never go back.
        wall: Seconds since 1970.

    Attributes:
        doing: What the node was last seen doing, one of `DOINGS`.
        account, task: The member and its task, once the node knows them.
        state: The task as it was last seen.
        step, steps: Of the training that goes on or was the last.
        missing: How many members the node last waited for.
        actions: How often it has done what, by the action's name.
        troubles: How often an error was waited out, by its name.
        gas: What its transactions have used.
        acted_at: When it last did something that the chain recorded, in seconds since 1970; 0 if it has not yet.
        silence: Seconds for which it may give no sign of life; more for a task's own code, which may train in silence.
        heard_at: When it last gave a sign of life, on the watch's clock.
        store: The task's store, once it is open; it counts its bytes.
        trouble: The error that it is waiting out; empty if there is none.
        troubled_since: When that began, on the watch's clock.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._clock, self._wall = clock, wall
        self._spent = dict.fromkeys(DOINGS, 0.0)
        self.doing = STARTING
        self.account, self.task = "", 0
        self.state: TaskState | None = None
        self.step, self.steps, self.missing = 0, 0, 0
        self.actions: Counter[str] = Counter()
        self.troubles: Counter[str] = Counter()
        self.gas, self.acted_at = 0, 0.0
        self.silence, self.heard_at = LONGEST_SILENCE, clock()
        self.trouble, self.troubled_since = "", 0.0
        self.store: Store | None = None
        self._uploads = False

    def now(self) -> float:
        """The time on the watch's clock."""
        return self._clock()

    def seconds(self) -> dict[str, float]:
        """How long the node has been doing what, until its last sign of life."""
        return dict(self._spent)

    def show(self, said: Said) -> None:
        """Count what the node says."""
        match said:
            case Started():
                self.account, self.task = said.account, said.task
                self._heard(STARTING)
            case Training():
                self.step, self.steps = said.step, said.steps
                self._heard(TRAINING)
            case Step():
                self._stepped(said)
            case Awaited():
                self.missing = len(said.missing)
            case Exception():
                self._failed(said)

    def sleeping(self, sleep: Callable[[float], None]) -> Callable[[float], None]:
        """Sleep as `sleep` does, and count it as waiting, unless there is trouble, or an upload under way."""

        def counted(seconds: float) -> None:
            sleep(seconds)
            self._count(TROUBLE if self.trouble else UPLOADING if self._uploads else WAITING)

        return counted

    def _stepped(self, step: Step) -> None:
        self.state = step.state
        if step.receipt is not None:
            self.actions[step.action.name.lower()] += 1
            self.gas += step.receipt.gas_used
            self.acted_at = self._wall()
        # A reveal that the chain has not recorded waits for its update to be in the store.
        self._uploads = step.action is Action.REVEAL and step.receipt is None
        self._heard(_DOING.get(step.action, WAITING))

    def _failed(self, error: Exception) -> None:
        self.troubles[type(error).__name__] += 1
        self._count(TROUBLE)
        if not self.trouble:
            self.troubled_since = self.heard_at
        self.trouble = str(error)

    def _heard(self, doing: str) -> None:
        self._count(doing)
        self.trouble = ""

    def _count(self, doing: str) -> None:
        """Everything since the last sign of life was this."""
        now = self._clock()
        self._spent[doing] += max(0.0, now - self.heard_at)
        self.heard_at, self.doing = now, doing
