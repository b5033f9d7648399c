"""What a node says and has counted, as numbers for each round."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from chain.types import Phase, TaskState
from fl_node.blobs.location import reason_of
from fl_node.cli.node.display import Said, Show, Untracked
from fl_node.cli.service.watch import Watch
from fl_node.cli.tracking.trackers import Picture, Tracker
from fl_node.member.next_action import Action
from fl_node.member.participant import Step

NumbersOf = Callable[[int, bytes], Mapping[str, float]]
"""The numbers of the update that the node committed to: of a round that starts from the model with this digest."""

DrawModel = Callable[[bytes], Picture | None]
"""Samples of the model with this digest; None if there are none to be had."""


class Tracking:
    """Tells a tracker of each round: of the update once the chain has its commitment, of the rest when it is over.

    What a round took is the difference of two looks at the watch, each with the last step of a round, so that the
    curves add up to its counters. The first round's seconds include the start. The tracker may fail in any way: that is
    said once, and the node goes on without.

    Args:
        tracker: Takes the numbers.
        place: What it was opened for; an error shows no credentials that are in it.
        watch: Counts what the node does; told before this.
        numbers_of: See `NumbersOf`.
        draw: See `DrawModel`.
        tell: Told of a failure.
    """

    def __init__(
        self,
        tracker: Tracker,
        place: str,
        watch: Watch,
        numbers_of: NumbersOf,
        draw: DrawModel,
        tell: Show,
    ) -> None:
        self._tracker: Tracker | None = tracker
        self._place, self._watch = place, watch
        self._numbers_of, self._draw, self._tell = numbers_of, draw, tell
        self._round = 0
        self._told: dict[str, float] = {}
        self._counted: dict[str, float] = {}

    def __enter__(self) -> Tracking:
        return self

    def __exit__(self, *_: object) -> None:
        self._safely(lambda tracker: tracker.close())

    def show(self, said: Said) -> None:
        """Tell the tracker what a step means for its round; nothing else concerns it."""
        if not isinstance(said, Step):
            return
        state = said.state
        if said.action is Action.FINISHED:
            self._counted = counts_of(self._watch)
            self._over(state)
            return
        if 0 < self._round < state.round:
            self._over(state)
        self._round, self._counted = state.round, counts_of(self._watch)
        if said.action is Action.COMMIT and said.receipt is not None:
            self._safely(
                lambda tracker: _send(
                    tracker, state.round, self._numbers_of(state.round, state.parent_digest)
                )
            )

    def _over(self, state: TaskState) -> None:
        """A round is over, and its model is the task's current one. If several are, they count as the last of them."""
        if not self._round:
            return
        self._round, ended = 0, state.round - (state.phase is not Phase.FINISHED)
        took = {name: count - self._told.get(name, 0) for name, count in self._counted.items()}
        self._told = self._counted

        def tell(tracker: Tracker) -> None:
            _send(tracker, ended, took)
            if (pixels := self._draw(state.parent_digest)) is not None:
                tracker.picture(ended, "samples", pixels)

        self._safely(tell)

    def _safely(self, act: Callable[[Tracker], None]) -> None:
        if self._tracker is None:
            return
        try:
            act(self._tracker)
        except Exception as error:
            # Whatever somebody's library raises, the training goes on.
            self._tracker = None
            self._tell(Untracked(f"{type(error).__name__}: {reason_of(error, self._place)}"))


def counts_of(watch: Watch) -> dict[str, float]:
    """A watch's counters, by a tracker's names."""
    counts: dict[str, float] = {"gas": watch.gas}
    counts |= {f"seconds/{doing}": spent for doing, spent in watch.seconds().items()}
    if watch.store is not None:
        counts |= {"bytes/sent": watch.store.sent, "bytes/received": watch.store.received}
    return counts


def _send(tracker: Tracker, round: int, values: Mapping[str, float]) -> None:
    finite = {name: value for name, value in values.items() if math.isfinite(value)}
    if finite:
        tracker.numbers(round, finite)
