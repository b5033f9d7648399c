"""How a member trains: the algorithms, each in its own file, written against `fl_node.learner` alone.

The choices of `strategy.train` are in `TRAIN`. `UntilMedian` and `EdgeLearner` are learners that wrap other learners,
so every choice composes with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fl_node.arrays import Array, Arrays, prefixed, unprefixed
from fl_node.fields import Choice
from fl_node.learner import Assignment, Learner, Trained
from fl_node.strategy.train.context import Context
from fl_node.strategy.train.ditto import PERSONAL, Ditto, personal_model, train_ditto
from fl_node.strategy.train.edge import EdgeLearner
from fl_node.strategy.train.loadaboost import UntilMedian
from fl_node.strategy.train.plain import Plain, train_plain
from fl_node.strategy.train.private import split_private
from fl_node.strategy.train.proximal import (
    AdaptiveProximal,
    Proximal,
    train_adaptive_proximal,
    train_proximal,
)
from fl_node.strategy.train.scaffold import CONTROL, Scaffold, advance_control, train_scaffold
from fl_node.strategy.train.two_stream import TwoStream, train_two_stream

Run = Callable[[Any, Learner, Assignment, Context], Trained]
"""(knobs, learner, assignment, context) -> what was trained."""

Advance = Callable[[Any, Arrays, Iterable[Arrays], int], dict[str, Array]]
"""(knobs, a slot's arrays, the included updates' changes in ascending order of client, number of all members) -> the
slot's next arrays."""


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A choice of `strategy.train`.

    Attributes:
        run: Trains. Raises TrainingDiverged if the learner does.
        slots: Slots of the global state whose changes an update sends beside the difference, as `SLOT.NAME`. A member
            has its own arrays for each of them among its private ones, under the same names.
        advance: Gives a slot's next arrays, the server's and the member's own; used only if there are slots.
        keeps: The prefix of the private arrays that belong to the algorithm and not to the learner.
        needs_past: Whether `run` uses the context's past; if not, it may be empty.
    """

    run: Run
    slots: tuple[str, ...] = ()
    advance: Advance = advance_control
    keeps: str | None = None
    needs_past: bool = False


TRAIN: Mapping[type[Choice], Algorithm] = {
    Plain: Algorithm(train_plain),
    Proximal: Algorithm(train_proximal),
    AdaptiveProximal: Algorithm(train_adaptive_proximal, needs_past=True),
    Scaffold: Algorithm(train_scaffold, slots=(CONTROL,), keeps=f"{CONTROL}."),
    Ditto: Algorithm(train_ditto, keeps=PERSONAL),
    TwoStream: Algorithm(train_two_stream),
}
"""The choices for `strategy.train` in a manifest. The first is the default."""


def learners_own(choice: Choice, private: Arrays | None) -> Arrays | None:
    """The learner's part of a member's private arrays, as `Learner.measure` takes them; None for None."""
    keeps = TRAIN[type(choice)].keeps
    return private if keeps is None else split_private(private, keeps)[0]


def keep_pace(choice: Choice, private: Arrays, sent: Arrays) -> dict[str, Array]:
    """Move a member's own slots by what everybody decodes from its update, as the server's move by all updates.

    Args:
        choice: The manifest's `strategy.train`.
        private: `Trained.private`.
        sent: `Trained.sent`, encoded and decoded.
    """
    algorithm, kept = TRAIN[type(choice)], dict(private)
    for slot in algorithm.slots:
        own, change = (unprefixed(f"{slot}.", arrays) for arrays in (private, sent))
        kept |= prefixed(f"{slot}.", algorithm.advance(choice, own, [change], 1))
    return kept


__all__ = [
    "TRAIN",
    "AdaptiveProximal",
    "Algorithm",
    "Context",
    "Ditto",
    "EdgeLearner",
    "Plain",
    "Proximal",
    "Scaffold",
    "TwoStream",
    "UntilMedian",
    "keep_pace",
    "learners_own",
    "personal_model",
]
