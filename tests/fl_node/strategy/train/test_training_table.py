"""What holds for every choice of `strategy.train`, also for one that is added tomorrow."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from quadratic import QuadraticLearner, equal, point, same_bits, train_once

from chain.types import Reveal
from fl_node.fields import Choice
from fl_node.history.past import PastRound
from fl_node.learner import Assignment, Learner, StepProgress, Trained, no_progress
from fl_node.strategy.train import TRAIN, EdgeLearner, UntilMedian, learners_own

DEVICE = QuadraticLearner(centre=(4.0, -1.0), curvature=(0.5, 1.0), noise=0.1)
LEARNERS: list[Learner] = [
    DEVICE,
    EdgeLearner([DEVICE, DEVICE], rounds=2),
    UntilMedian(DEVICE, target=-1.0),
    UntilMedian(EdgeLearner([DEVICE, DEVICE]), target=-1.0, loss="held_out"),
]
START = Assignment(point(0.0, 1.0), None, seed=2, steps=6)
CONTROL = point(0.5, -0.5)
PAST = [PastRound(bytes(32), (Reveal(bytes(32), 10, loss, loss, bytes(32)),)) for loss in (1, 2, 3)]

choices = pytest.mark.parametrize("choice", [kind() for kind in TRAIN], ids=lambda one: one.kind)
learners = pytest.mark.parametrize("learner", LEARNERS, ids=["device", "edge", "median", "both"])


@choices
@learners
def test_it_runs_on_every_learner_over_rounds(choice: Choice, learner: Learner) -> None:
    first = train_once(choice, learner, START, PAST, CONTROL)
    again = replace(START, model=first.shared, private=first.private, seed=3)

    second = train_once(choice, learner, again, PAST, CONTROL)

    assert second.shared.keys() == START.model.keys()
    assert second.private.keys() == first.private.keys()
    assert equal(second, train_once(choice, learner, again, PAST, CONTROL))


@dataclass(frozen=True)
class Witness(QuadraticLearner):
    """Remembers the rounds of its assignments."""

    rounds: list[int] = field(default_factory=list)

    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        self.rounds.append(assignment.round)
        return super().train(assignment, progress)


@choices
def test_every_training_is_told_the_round(choice: Choice) -> None:
    witness = Witness(centre=(4.0, -1.0), curvature=(0.5, 1.0))
    learner = UntilMedian(EdgeLearner([witness, witness], rounds=2), target=-1.0)
    train_once(choice, learner, replace(START, round=7), PAST, CONTROL)
    assert len(witness.rounds) >= 4
    assert set(witness.rounds) == {7}


@choices
@learners
def test_the_learner_gets_its_own_private_arrays_and_no_others(
    choice: Choice, learner: Learner
) -> None:
    own = learners_own(choice, train_once(choice, learner, START, PAST, CONTROL).private)

    assert own is not None
    assert own.keys() == learner.train(START).private.keys()


@choices
def test_what_is_sent_lies_in_the_slots(choice: Choice) -> None:
    slots = TRAIN[type(choice)].slots

    sent = train_once(choice, DEVICE, START, PAST, CONTROL).sent

    assert sent.keys() == {f"{slot}.{name}" for slot in slots for name in START.model}
    assert all(array.dtype == np.float32 for array in sent.values())


@choices
def test_only_what_needs_the_past_depends_on_it(choice: Choice) -> None:
    with_past = train_once(choice, DEVICE, START, PAST, CONTROL)
    without = train_once(choice, DEVICE, START, (), CONTROL)

    assert equal(with_past, without) is not TRAIN[type(choice)].needs_past


@choices
def test_it_changes_nothing_it_was_given(choice: Choice) -> None:
    private = train_once(choice, DEVICE, START, PAST, CONTROL).private
    given = [START.model, private, CONTROL]
    copies = [{name: array.copy() for name, array in one.items()} for one in given]

    train_once(choice, DEVICE, replace(START, private=private), PAST, CONTROL)

    assert all(same_bits(one, copy) for one, copy in zip(given, copies, strict=True))
