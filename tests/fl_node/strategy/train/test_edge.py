"""An edge node: its averages, and that one device alone is that device."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quadratic import (
    QuadraticLearner,
    Recording,
    equal,
    federate,
    optimum,
    point,
    same_bits,
    train_once,
)

from fl_node.arrays import prefixed
from fl_node.learner import Assignment
from fl_node.strategy.train import EdgeLearner, Plain, Scaffold
from fl_node.strategy.train.averages import mean_arrays

SMALL = QuadraticLearner(centre=(4.0, -1.0), curvature=(0.5, 1.0), noise=0.1, examples=10)
LARGE = QuadraticLearner(centre=(0.0, 3.0), curvature=(2.0, 0.2), noise=0.1, examples=30)
START = Assignment(point(0.0, -0.0), None, seed=2, steps=5)

floats = st.floats(-1e6, 1e6, width=32)


@given(st.integers(0, 2**63 - 1), st.integers(1, 9), floats, st.integers(1, 10**9))
def test_one_device_in_one_edge_round_is_that_device(
    seed: int, steps: int, w: float, examples: int
) -> None:
    device = replace(SMALL, examples=examples)
    assignment = Assignment(point(w, -0.0), None, seed, steps, mu=0.5, correction=point(0.25, -1.0))

    edge, alone = EdgeLearner([device]).train(assignment), device.train(assignment)

    assert equal(edge, replace(alone, private=prefixed("device.0.", alone.private)))
    assert EdgeLearner([device]).measure(alone.shared, None) == device.measure(alone.shared, None)


def test_devices_are_averaged_by_their_examples() -> None:
    trained = EdgeLearner([replace(SMALL, noise=0.0), replace(LARGE, noise=0.0)]).train(START)

    small, large = (replace(one, noise=0.0).train(START) for one in (SMALL, LARGE))
    assert trained.shared["w"] == pytest.approx((small.shared["w"] + 3 * large.shared["w"]) / 4)
    assert trained.training_loss == pytest.approx(
        (small.training_loss + 3 * large.training_loss) / 4
    )
    assert (trained.num_examples, trained.steps) == (40, 5)


def test_every_device_starts_an_edge_round_from_the_last_average() -> None:
    calm = [replace(SMALL, noise=0.0), replace(LARGE, noise=0.0)]

    twice = EdgeLearner(calm, rounds=2).train(START)

    once = EdgeLearner(calm).train(START)
    again = EdgeLearner(calm).train(replace(START, model=once.shared, private=once.private))
    assert same_bits(twice.shared, again.shared)
    assert same_bits(twice.private, again.private)
    assert twice.steps == 10
    assert twice.training_loss == pytest.approx((once.training_loss + again.training_loss) / 2)


def test_the_anchor_stays_the_received_model() -> None:
    calm = replace(SMALL, noise=0.0)

    trained = EdgeLearner([calm], rounds=200).train(replace(START, mu=1.5))

    assert trained.shared["w"] == pytest.approx([1.0, -0.4], abs=1e-4)


def test_only_the_first_edge_round_starts_the_optimisers_anew() -> None:
    devices = [Recording(SMALL), Recording(LARGE)]

    EdgeLearner(devices, rounds=3).train(replace(START, fresh=True))

    for device in devices:
        assert [one.fresh for one in device.assignments] == [True, False, False]


def test_each_device_keeps_its_own_private_arrays() -> None:
    edge = EdgeLearner([SMALL, LARGE])

    first = edge.train(START)
    second = edge.train(replace(START, model=first.shared, private=first.private))

    assert second.private.keys() == {"device.0.steps", "device.1.steps"}
    assert second.private["device.1.steps"] == 10


def test_devices_and_edge_rounds_draw_different_randomness() -> None:
    still = QuadraticLearner((0.0,), (1.0,), rate=1.0, noise=1.0)
    assignment = Assignment(point(0.0), None, seed=4, steps=1)

    alone = EdgeLearner([still]).train(assignment).shared["w"]
    pair = EdgeLearner([still, still]).train(assignment).shared["w"]
    later = EdgeLearner([still], rounds=2).train(assignment).shared["w"]

    assert len({float(alone[0]), float(pair[0]), float(later[0])}) == 3


def test_often_averaged_devices_drift_less() -> None:
    calm = [replace(SMALL, noise=0.0, examples=1), replace(LARGE, noise=0.0, examples=1)]
    often = [EdgeLearner(calm, rounds=20).train(replace(START, steps=1))]
    seldom = [EdgeLearner(calm, rounds=1).train(replace(START, steps=20))]

    distances = [np.abs(one.shared["w"] - optimum(calm)).max() for one in (*often, *seldom)]

    assert distances[0] < distances[1]


def test_scaffold_gets_the_mean_gradient_of_all_devices_and_edge_rounds() -> None:
    calm = [replace(SMALL, noise=0.0), replace(LARGE, noise=0.0)]
    server = point(0.5, 0.25)

    trained = train_once(Scaffold(), EdgeLearner(calm, rounds=3), START, server=server)

    # Averages of corrected steps: (w_t - y) / (steps rate) = mean(g) + c for a first round, where c_i = 0.
    moved = (START.model["w"] - trained.shared["w"]) / (15 * SMALL.rate)
    np.testing.assert_allclose(trained.sent["control.w"], moved - server["w"], rtol=1e-4)


def test_one_pass_means_every_device_has_seen_its_data() -> None:
    assert EdgeLearner([SMALL, LARGE]).steps_for(2) == 60


def test_the_measure_weighs_devices_by_their_data() -> None:
    private = EdgeLearner([SMALL, LARGE]).train(START).private

    expected = (
        SMALL.measure(START.model, None).loss + 3 * LARGE.measure(START.model, None).loss
    ) / 4
    assert EdgeLearner([SMALL, LARGE]).measure(START.model, private).loss == pytest.approx(expected)
    assert EdgeLearner([SMALL, LARGE]).measure(START.model, None).loss == pytest.approx(expected)


def test_progress_counts_as_if_the_devices_worked_together() -> None:
    seen: list[tuple[int, int]] = []

    EdgeLearner([SMALL, LARGE], rounds=2).train(
        START, lambda step, steps, losses: seen.append((step, steps))
    )

    assert seen == sorted(seen)
    assert seen[-1] == (10, 10)
    assert len(seen) == 20


def test_an_edge_node_is_a_learner_like_another() -> None:
    edges = [EdgeLearner([SMALL, LARGE], 2), EdgeLearner([LARGE])]
    trained = [train_once(Plain(), edge, START) for edge in edges]

    assert equal(trained[1], EdgeLearner([LARGE]).train(START))
    assert federate(Plain(), [SMALL, LARGE], 1, 1).keys() == trained[0].shared.keys()


@given(st.lists(floats, min_size=1, max_size=4), st.lists(st.integers(1, 10**6), min_size=3))
def test_equal_arrays_average_to_themselves(values: list[float], weights: list[int]) -> None:
    same = {"w": np.array(values, np.float32), "n": np.array(7), "empty": np.zeros((0, 2))}

    assert same_bits(mean_arrays([same] * len(weights), weights), same)


def test_constants_are_not_averaged() -> None:
    counts = [{"n": np.array([1, -1])}, {"n": np.array([4, -4])}]

    assert mean_arrays(counts, [1, 2])["n"].tolist() == [1, -1]
