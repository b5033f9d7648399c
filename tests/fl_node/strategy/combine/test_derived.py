"""What follows from a combined model: averages that lie between what they were and what they are of."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_node.strategy.combine.derived import decay, derive_averages, never_negative
from fl_node.strategy.roles import Average, Roles

STEPS = Average(name="ema", of="net", half_life=200)
ROUNDS = Average(name="ema", of="net", half_life=3, unit="rounds")
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def roles_of(average: Average) -> Roles:
    return Roles(statistics=("*.running_*",), at_least_zero=("*.running_var",), averages=(average,))


def derived(average: Average, before: object, now: object, steps: list[int]) -> np.ndarray:
    arrays = {"ema.w": np.asarray(before, np.float32)}
    model = {"net.w": np.asarray(now, np.float32)}
    return derive_averages(roles_of(average), arrays, model, steps)["ema.w"]


@pytest.mark.parametrize(
    ("average", "steps", "keep"),
    [
        (STEPS, [200], 0.5),
        (STEPS, [100, 300], 0.5),
        (STEPS, [400], 0.25),
        (ROUNDS, [7], 0.5 ** (1 / 3)),
        (ROUNDS, [7_000, 1], 0.5 ** (1 / 3)),
    ],
)
def test_after_a_half_life_what_it_was_counts_half(average, steps, keep):
    assert decay(average, steps) == pytest.approx((keep, 1 - keep), rel=1e-15)


def test_the_decay_is_the_float_nearest_to_the_exact_number():
    """0.5^(7/200) and 1 less that: the digits are those of bc."""
    exact = Decimal("0.9760317607762246324476039154963554566656386332781347")
    keep, add = decay(STEPS, [7])
    assert keep == float(exact)
    assert add == float(1 - exact)


def test_absurd_steps_leave_nothing_of_what_it_was_and_break_nothing():
    short = Average(name="ema", of="net", half_life=1)
    assert decay(short, [2**31 - 1] * 96) == (0.0, 1.0)
    assert derived(short, [5.0], [3.0], [2**31 - 1]) == [3.0]


@given(
    st.lists(st.tuples(FLOATS, FLOATS), min_size=1, max_size=20),
    st.lists(st.integers(1, 2**31 - 1), min_size=1, max_size=5),
    st.integers(1, 1_000_000),
    st.sampled_from(["steps", "rounds"]),
)
def test_an_average_lies_between_what_it_was_and_the_model(pairs, steps, half_life, unit):
    before, now = np.array(pairs, np.float32).T
    average = Average(name="ema", of="net", half_life=half_life, unit=unit)
    result = derived(average, before, now, steps)
    assert np.all(np.minimum(before, now) <= result)
    assert np.all(result <= np.maximum(before, now))


@given(st.lists(FLOATS, min_size=1, max_size=20), st.integers(1, 1_000))
def test_the_average_of_a_model_that_stands_still_stands_still(values, steps):
    result = derived(STEPS, values, values, [steps])
    assert np.array_equal(result, np.array(values, np.float32))


def test_an_average_of_a_tensor_that_is_not_there_in_its_shape_stays():
    kept = {"ema.w": np.ones(2, np.float32)}
    for model in ({}, {"net.w": np.zeros(3, np.float32)}, {"net.w": np.zeros((1, 2), np.float32)}):
        assert derive_averages(roles_of(STEPS), kept, model, [5])["ema.w"].tolist() == [1, 1]


def test_a_variance_below_zero_becomes_zero_and_a_mean_stays():
    model = {
        "net.running_var": np.array([-1.0, -0.0, 0.0, 2.0], np.float32),
        "net.running_mean": np.array([-1.0], np.float32),
        "net.weight": np.array([-1.0], np.float32),
    }
    clamped = never_negative(roles_of(STEPS), model)
    assert list(clamped) == ["net.running_var"]
    assert clamped["net.running_var"].tobytes() == np.array([0, 0, 0, 2], np.float32).tobytes()
