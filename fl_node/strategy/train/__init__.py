"""How a member trains: the algorithms, each in a file of its own, written against `fl_node.learner` alone.

An algorithm that is a choice of `strategy.train` stands in `TRAIN`. `UntilMedian` and `EdgeLearner` are learners over
learners instead, so that every choice composes with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fl_node.arrays import Array, Arrays
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
"""Knobs, learner, assignment and context to what was trained."""

Advance = Callable[[Arrays, Iterable[Arrays], int], dict[str, Array]]
"""A slot's arrays, what the included updates say of it in ascending order of client, and the number of all members, to
the slot's next arrays."""


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A choice of `strategy.train`.

    Attributes:
        run: Trains. Raises TrainingDiverged as the learner does.
        slots: What travels in an update beside the difference, as `SLOT.NAME`, and is kept in the global state.
        advance: How a slot moves by what travelled; asked only where there are slots.
        keeps: The prefix of the private arrays that are the algorithm's and not the learner's.
        needs_past: Whether `run` looks at the context's past; where not, it may be empty.
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
"""The choices for `strategy.train` in a manifest; the first is the default."""


def learners_own(choice: Choice, private: Arrays | None) -> Arrays | None:
    """A member's private arrays without the algorithm's, as `Learner.measure` takes them; None for None."""
    keeps = TRAIN[type(choice)].keeps
    return private if keeps is None else split_private(private, keeps)[0]


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
    "learners_own",
    "personal_model",
]
