"""FedNova: equal steps make no difference, unequal ones no bias."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
from combining import moved, random_updates, update
from hypothesis import given
from hypothesis import strategies as st

from fl_node.strategy.combine import FedNova, WeightedMean

NOVA = FedNova()


@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 10**6))
def test_with_equal_steps_it_is_the_weighted_mean_byte_for_byte(seed, count, steps):
    updates = [
        replace(one, header=replace(one.header, steps=steps))
        for one in random_updates(seed, count, 30)
    ]
    parent = np.random.default_rng(seed).standard_normal(30)
    expected = moved(WeightedMean(), parent, *updates)
    assert moved(NOVA, parent, *updates).tobytes() == expected.tobytes()


@given(st.integers(0, 2**32), st.integers(1, 6))
def test_it_is_the_exact_formula_to_within_one_rounding(seed, count):
    updates = random_updates(seed, count, 5)
    result = moved(NOVA, np.zeros(5), *updates)
    examples = sum(one.header.num_examples for one in updates)
    shares = [Fraction(one.header.num_examples, examples) for one in updates]
    steps = sum(share * one.header.steps for share, one in zip(shares, updates, strict=True))
    for i in range(5):
        exact = steps * sum(
            share * Fraction(float(one.arrays["w"][i])) / one.header.steps
            for share, one in zip(shares, updates, strict=True)
        )
        assert abs(Fraction(float(result[i])) - exact) <= Fraction(
            float(np.spacing(abs(result[i])))
        )


def test_who_takes_more_steps_does_not_pull_harder():
    """Two members, each one unit a step, in opposite directions: the one with nine steps wins under FedAvg only."""
    pair = [update(1, [9.0], steps=9), update(2, [-1.0], steps=1)]
    assert moved(NOVA, [0.0], *pair) == [0.0]
    assert moved(WeightedMean(), [0.0], *pair) == [4.0]


def test_examples_still_count():
    pair = [update(1, [6.0], examples=3, steps=2), update(2, [4.0], examples=1, steps=4)]
    assert moved(NOVA, [0.0], *pair) == [2.5 * (0.75 * 3.0 + 0.25 * 1.0)]
