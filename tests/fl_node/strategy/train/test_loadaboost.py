"""LoAdaBoost: how long it trains, what it says about it, and that every algorithm runs on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quadratic import QuadraticLearner, Recording, equal, point, same_bits, train_once

from fl_node.arrays import Arrays
from fl_node.history.past import Loss
from fl_node.learner import Assignment, Measured
from fl_node.strategy.train import Ditto, EdgeLearner, Proximal, Scaffold, UntilMedian
from fl_node.strategy.train.loadaboost import portions

LEARNER = QuadraticLearner(centre=(4.0, -1.0), curvature=(0.5, 1.0), noise=0.1)
START = Assignment(point(0.0, 0.0), None, seed=2, steps=80)
NEVER, AT_ONCE = -1.0, 1e9


class Overfitting(Recording):
    """Loses 1 more on data that it has not seen."""

    def measure(self, model: Arrays, private: Arrays | None, training: bool = False) -> Measured:
        return Measured(super().measure(model, private).loss + (0 if training else 1))


@given(st.integers(1, 10_000))
def test_portions_never_grow_and_sum_to_one_and_a_half_times_the_work(steps: int) -> None:
    cut = list(portions(steps))

    assert cut[0] == (steps + 1) // 2
    assert sum(cut) == steps * 3 // 2
    assert cut == sorted(cut, reverse=True)
    assert min(cut) >= 1
    assert len(cut) <= 5


def test_portions_of_80_steps() -> None:
    assert list(portions(80)) == [40, 40, 20, 10, 10]


@given(st.integers(1, 60), st.floats(0, 10), st.sampled_from(["training", "held_out"]))
def test_it_trains_between_half_and_one_and_a_half_times(
    steps: int, target: float, loss: Loss
) -> None:
    trained = UntilMedian(LEARNER, target, loss).train(replace(START, steps=steps))

    assert (steps + 1) // 2 <= trained.steps <= steps * 3 // 2
    assert trained.training_loss <= target or trained.steps == steps * 3 // 2


def test_before_there_is_a_median_it_trains_the_whole_work_at_once() -> None:
    at_once, whole = UntilMedian(LEARNER, None).train(START), LEARNER.train(START)

    assert equal(replace(at_once, training_loss=whole.training_loss), whole)


def test_it_stops_after_half_where_the_loss_is_good() -> None:
    assert UntilMedian(LEARNER, AT_ONCE).train(START).steps == 40


def test_a_loss_at_the_median_is_good_enough() -> None:
    half = UntilMedian(LEARNER, AT_ONCE).train(START)

    assert UntilMedian(LEARNER, half.training_loss).train(START).steps == 40


def test_it_goes_on_to_the_limit_where_the_loss_stays_bad() -> None:
    assert UntilMedian(LEARNER, NEVER).train(START).steps == 120


def test_a_portion_goes_on_where_the_last_one_ended_with_the_anchor_of_the_round() -> None:
    recording = Recording(LEARNER)

    trained = UntilMedian(recording, NEVER).train(START)

    first, second, *_ = recording.assignments
    assert [one.steps for one in recording.assignments] == [40, 40, 20, 10, 10]
    assert len({one.seed for one in recording.assignments}) == 5
    assert same_bits(second.model, LEARNER.train(first).shared)
    assert second.private is not None and second.private["steps"] == 40
    assert all(one.anchor is START.model for one in recording.assignments)
    assert trained.private["steps"] == 120


def test_only_the_first_portion_starts_the_optimisers_anew() -> None:
    recording = Recording(LEARNER)

    UntilMedian(recording, NEVER).train(replace(START, fresh=True))

    assert [one.fresh for one in recording.assignments] == [True, False, False, False, False]


def test_portions_of_gradient_descent_join_up_without_a_seam() -> None:
    calm = QuadraticLearner(centre=(4.0, -1.0), curvature=(0.5, 1.0))

    joined = UntilMedian(calm, NEVER).train(START).shared["w"]

    np.testing.assert_allclose(joined, calm.train(replace(START, steps=120)).shared["w"], rtol=1e-5)


@pytest.mark.parametrize("loss", ["training", "held_out"])
@pytest.mark.parametrize("target", [None, AT_ONCE, NEVER])
def test_the_loss_of_the_trained_model_is_what_it_reports(target: float | None, loss: Loss) -> None:
    trained = UntilMedian(Overfitting(LEARNER), target, loss).train(START)

    seen = LEARNER.loss(np.float64(trained.shared["w"]))
    assert trained.training_loss == (seen if loss == "training" else seen + 1)


def test_it_does_not_train_on_because_the_steps_before_were_worse() -> None:
    """The mean over the portion's steps is above the median, and the trained model's loss is below it."""
    half = LEARNER.train(replace(START, steps=40))
    target = (half.training_loss + LEARNER.measure(half.shared, None).loss) / 2

    assert LEARNER.measure(half.shared, None).loss < target < half.training_loss
    assert UntilMedian(LEARNER, target).train(START).steps == 40


def test_scaffold_on_it_sees_the_mean_gradient_of_all_portions() -> None:
    calm = QuadraticLearner(centre=(4.0, -1.0), curvature=(0.5, 1.0))
    server = point(0.25, -0.5)

    portioned = train_once(Scaffold(), UntilMedian(calm, NEVER), START, server=server)
    whole = train_once(Scaffold(), calm, replace(START, steps=120), server=server)

    np.testing.assert_allclose(portioned.sent["control.w"], whole.sent["control.w"], rtol=1e-5)


def test_fedprox_on_it_is_held_by_the_received_model() -> None:
    calm = QuadraticLearner(centre=(4.0, 0.0), curvature=(0.5, 1.0))

    trained = train_once(Proximal(mu="1.5"), UntilMedian(calm, NEVER), replace(START, steps=400))

    assert trained.shared["w"] == pytest.approx([1.0, 0.0], abs=1e-6)


def test_ditto_on_it_trains_the_personal_model_until_the_median_too() -> None:
    trained = train_once(Ditto(), UntilMedian(LEARNER, AT_ONCE), START)

    assert trained.private["personal.state.steps"] == trained.steps == 40


def test_an_edge_node_on_it_counts_the_steps_of_its_edge_rounds() -> None:
    edge = EdgeLearner([LEARNER, LEARNER], rounds=2)

    assert UntilMedian(edge, AT_ONCE).train(START).steps == 2 * 40


def test_progress_counts_on_towards_the_limit() -> None:
    seen: list[tuple[int, int]] = []

    UntilMedian(LEARNER, NEVER).train(START, lambda step, steps, losses: seen.append((step, steps)))

    assert seen == [(step, 120) for step in range(1, 121)]


def test_the_learner_behind_it_says_how_much_an_epoch_is() -> None:
    assert UntilMedian(QuadraticLearner((0.0,), (1.0,), examples=7), None).steps_for(2) == 14
