"""The weighted mean: what it must be equal to, to the last bit."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
from combining import moved, random_updates, update
from hypothesis import given
from hypothesis import strategies as st

from fl_node.strategy.combine import WeightedMean

MEAN = WeightedMean()


def test_each_update_weighs_as_many_examples_as_it_was_trained_on():
    assert moved(MEAN, [1.0], update(1, [4.0], 1), update(2, [8.0], 3)) == [8.0]


def test_with_equal_weights_each_update_weighs_the_same():
    equal = WeightedMean(weights="equal")
    assert moved(equal, [1.0], update(1, [4.0], 1), update(2, [8.0], 3)) == [7.0]


@given(st.integers(0, 2**32), st.integers(1, 6))
def test_equal_weights_are_equal_examples_byte_for_byte(seed, count):
    updates = random_updates(seed, count, 8)
    same = [replace(one, header=replace(one.header, num_examples=1)) for one in updates]
    equal = moved(WeightedMean(weights="equal"), np.zeros(8), *updates)
    assert equal.tobytes() == moved(MEAN, np.zeros(8), *same).tobytes()


def test_every_step_is_rounded_as_documented():
    updates = random_updates(3, 6, 50)
    parent = np.random.default_rng(4).standard_normal(50).astype(np.float32)
    expected = []
    for i in range(50):
        total = 0.0
        for one in updates:
            total = total + float(one.header.num_examples) * float(one.arrays["w"][i])
        weight = sum(one.header.num_examples for one in updates)
        expected.append(np.float32(float(parent[i]) + total / float(weight)))
    assert moved(MEAN, parent, *updates).tolist() == expected


@given(st.integers(0, 2**32))
def test_it_is_the_exact_mean_to_within_one_rounding(seed):
    updates = random_updates(seed, 5, 8)
    weight = sum(one.header.num_examples for one in updates)
    result = moved(MEAN, np.zeros(8), *updates)
    for i in range(8):
        exact = (
            sum(Fraction(float(u.arrays["w"][i])) * u.header.num_examples for u in updates) / weight
        )
        assert abs(Fraction(float(result[i])) - exact) <= Fraction(
            float(np.spacing(abs(result[i])))
        )
