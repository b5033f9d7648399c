"""Momentum, Adagrad, Adam and Yogi at "the server", against the papers' formulas written down plainly."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from combining import combined, random_updates, update
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fl_node.strategy.combine import COMBINE, FedAdagrad, FedAdam, FedAvgM, FedYogi, WeightedMean

ADAPTIVE = [FedAdagrad(), FedAdam(), FedYogi()]
OPTIMISERS = [FedAvgM(), *ADAPTIVE]
adaptive = pytest.mark.parametrize("knobs", ADAPTIVE, ids=lambda knobs: knobs.kind)
optimisers = pytest.mark.parametrize("knobs", OPTIMISERS, ids=lambda knobs: knobs.kind)


def second_moment(knobs, v, d):
    if isinstance(knobs, FedAdagrad):
        return v + d**2
    b2 = float(knobs.beta2)
    if isinstance(knobs, FedAdam):
        return b2 * v + (1 - b2) * d**2
    return v - (1 - b2) * d**2 * np.sign(v - d**2)


def reference(knobs, w, means):
    """Algorithm 2 of the paper over some rounds, in float64 from one end to the other; v starts at 0."""
    m, v = np.zeros_like(w), np.zeros_like(w)
    for d in means:
        m = float(knobs.beta1) * m + (1 - float(knobs.beta1)) * d
        v = second_moment(knobs, v, d)
        w = w + float(knobs.rate) * m / (np.sqrt(v) + float(knobs.tau))
    return w, m, v


@adaptive
@given(st.integers(0, 2**32))
def test_some_rounds_follow_the_formulas(knobs, seed):
    rounds = [random_updates(seed + round, 3, 10) for round in range(4)]
    parent = np.random.default_rng(seed).standard_normal(10).astype(np.float32)
    state = {"w": parent}
    for updates in rounds:
        state = combined(knobs, state, updates)
    means = [
        np.average([u.arrays["w"] for u in updates], axis=0,
                   weights=[u.header.num_examples for u in updates])
        for updates in rounds
    ]  # fmt: skip
    w, m, v = reference(knobs, parent.astype(np.float64), means)
    np.testing.assert_allclose(state["w"], w, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(state["server.momentum.w"], m, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(state["server.second_moment.w"], v, rtol=1e-5, atol=1e-6)


def test_momentum_carries_the_last_differences_on():
    knobs = FedAvgM(rate=Decimal("0.5"), beta=Decimal("0.25"))
    state = {"w": np.zeros(1, np.float32)}
    for difference, momentum, weight in [(8.0, 8.0, 4.0), (4.0, 6.0, 7.0), (0.0, 1.5, 7.75)]:
        state = combined(knobs, state, [update(1, [difference])])
        assert state["server.momentum.w"] == [momentum]
        assert state["w"] == [weight]


@given(st.integers(0, 2**32), st.integers(1, 5))
def test_momentum_that_forgets_at_once_is_the_weighted_mean(seed, count):
    updates = random_updates(seed, count, 30)
    parent = {"w": np.random.default_rng(seed).standard_normal(30).astype(np.float32)}
    forgetful = FedAvgM(rate=Decimal(1), beta=Decimal(0))
    assert (
        combined(forgetful, parent, updates)["w"].tobytes()
        == combined(WeightedMean(), parent, updates)["w"].tobytes()
    )


@optimisers
def test_a_weight_that_nobody_moves_and_that_has_no_momentum_stays(knobs):
    state = combined(knobs, {"w": np.array([0.1], np.float32)}, [update(1, [0.0])])
    assert state["w"] == np.float32(0.1)
    assert all(not array.any() for name, array in state.items() if name != "w")


@optimisers
def test_momentum_moves_a_weight_on_when_nobody_does(knobs):
    knobs = knobs.model_copy(update={"beta1": Decimal("0.9")})
    first = combined(knobs, {"w": np.zeros(1, np.float32)}, [update(1, [1.0])])
    second = combined(knobs, first, [update(1, [0.0])])
    assert second["w"] > first["w"] > 0


@adaptive
def test_large_differences_move_every_weight_about_as_far(knobs):
    result = combined(knobs, {"w": np.zeros(2, np.float32)}, [update(1, [5.0, 500.0])])["w"]
    np.testing.assert_allclose(result[0], result[1], rtol=2e-2)


@optimisers
def test_the_server_state_is_float32_and_remembers_over_rounds(knobs):
    first = combined(knobs, {"w": np.zeros(3)}, [update(1, [1.0, -2.0, 3.0])])
    second = combined(knobs, first, [update(1, [1.0, -2.0, 3.0])])
    for slot in COMBINE[type(knobs)].slots:
        assert first[f"server.{slot}.w"].dtype == np.float32
        assert first[f"server.{slot}.w"].all()
    assert not np.allclose(second["w"] - first["w"], first["w"])


def test_the_second_moment_is_held_at_the_greatest_float32():
    state = combined(FedAdagrad(), {"w": np.zeros(1, np.float32)}, [update(1, [3e38])])
    assert state["server.second_moment.w"] == np.finfo(np.float32).max


def test_yogi_forgets_a_large_difference_more_slowly_than_adam():
    left = {}
    for knobs in (FedAdam(), FedYogi()):
        state = {"w": np.zeros(1, np.float32)}
        for difference in (1.0, *[0.001] * 20):
            state = combined(knobs, state, [update(1, [difference])])
        left[knobs.kind] = state["server.second_moment.w"][0]
    assert left["yogi"] > 1.1 * left["adam"]


@pytest.mark.parametrize("knob", [{"rate": 0}, {"beta1": 1}, {"beta2": "-0.1"}, {"tau": 0}])
def test_a_knob_out_of_range_is_refused(knob):
    with pytest.raises(ValidationError, match=next(iter(knob))):
        FedAdam(**knob)
