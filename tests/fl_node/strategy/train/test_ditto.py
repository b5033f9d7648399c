"""Ditto: the shared model is FedAvg's; the personal one goes its own way, on a leash."""

from __future__ import annotations

import numpy as np
import pytest
from quadratic import QuadraticLearner, equal, federate, optimum, point, same_bits, train_once

from fl_node.arrays import Array
from fl_node.learner import Assignment
from fl_node.strategy.train import Ditto, Plain, learners_own, personal_model
from fl_node.strategy.train.context import Context
from fl_node.strategy.train.ditto import train_ditto

LEARNER = QuadraticLearner(centre=(4.0, -1.0), curvature=(0.5, 1.0), noise=0.1)
START = Assignment(point(0.0, 0.0), None, seed=2, steps=5)


def personal(choice: Ditto, learner: QuadraticLearner, rounds: int, steps: int) -> Array:
    """A member's personal model after rounds in which the shared model stood still."""
    private = None
    for number in range(rounds):
        assignment = Assignment(point(0.0, 0.0), private, seed=number, steps=steps)
        private = train_once(choice, learner, assignment).private
    found = personal_model(private or {})
    assert found is not None
    return found[0]["w"]


def test_what_is_sent_is_fedavgs() -> None:
    members = [LEARNER, QuadraticLearner(centre=(1.0, 2.0), curvature=(2.0, 0.3))]

    assert same_bits(federate(Ditto(), members, 5, 4), federate(Plain(), members, 5, 4))


def test_the_learners_own_private_arrays_are_as_without_it() -> None:
    once, plain = train_once(Ditto(), LEARNER, START), train_once(Plain(), LEARNER, START)
    assert same_bits(learners_own(Ditto(), once.private) or {}, plain.private)
    assert once.private.keys() == {"steps", "personal.model.w", "personal.state.steps"}

    again = Assignment(once.shared, once.private, seed=3, steps=5)
    twice = train_once(Ditto(), LEARNER, again)

    assert twice.private["steps"] == twice.private["personal.state.steps"] == 10


def test_many_rounds_reach_the_minimum_of_loss_and_pull() -> None:
    calm = QuadraticLearner(centre=(4.0, -1.0), curvature=(0.5, 1.0))

    reached = personal(Ditto(pull="1.5"), calm, rounds=100, steps=5)

    assert reached == pytest.approx([0.5 * 4.0 / 2.0, -1.0 / 2.5], abs=1e-4)


def test_without_a_pull_the_member_learns_alone() -> None:
    calm = QuadraticLearner(centre=(4.0, -1.0), curvature=(0.5, 1.0))

    assert personal(Ditto(pull="0"), calm, rounds=100, steps=5) == pytest.approx([4, -1], abs=1e-3)


def test_personal_models_fit_their_members_better_than_the_shared_one() -> None:
    members = [
        QuadraticLearner(centre=(4.0, -1.0), curvature=(0.5, 1.0)),
        QuadraticLearner(centre=(-4.0, 1.0), curvature=(0.5, 1.0)),
    ]
    shared = {"w": optimum(members)}

    for member in members:
        own = {"w": personal(Ditto(), member, rounds=20, steps=5)}
        assert member.measure(own, None).loss < member.measure(shared, None).loss / 2


def test_the_personal_training_draws_its_own_randomness() -> None:
    private = train_once(Ditto(pull="0"), LEARNER, START).private

    assert not np.array_equal(private["personal.model.w"], LEARNER.train(START).shared["w"])


def test_it_is_a_pure_function() -> None:
    assert equal(train_once(Ditto(), LEARNER, START), train_once(Ditto(), LEARNER, START))


def test_progress_counts_both_trainings() -> None:
    seen: list[tuple[int, int]] = []
    context = Context(progress=lambda step, steps, losses: seen.append((step, steps)))
    train_ditto(Ditto(), LEARNER, START, context)

    assert seen == [(step, 10) for step in range(1, 11)]


def test_there_is_no_personal_model_where_none_was_trained() -> None:
    assert personal_model(train_once(Plain(), LEARNER, START).private) is None


def test_private_arrays_before_the_first_training_are_nobodys() -> None:
    assert learners_own(Ditto(), None) is None
    assert learners_own(Plain(), None) is None
