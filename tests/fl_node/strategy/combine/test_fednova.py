"""FedNova: equal steps make no difference, unequal ones no bias."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from combining import moved, random_updates, update
from doubles import refusal
from hypothesis import given
from hypothesis import strategies as st

from fl_node.strategy.combine import FedNova, WeightedMean
from fl_node.strategy.combine.fednova import gradient_weight

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


momenta = st.decimals("0.01", "0.999", places=3)


@given(st.integers(1, 40), momenta)
def test_a_gradients_weight_is_what_momentum_makes_of_it(steps, momentum):
    """Gradient j of tau is added to the model in tau - j + 1 steps, each time rho times as much."""
    rho = Fraction(momentum)
    exact = sum(rho**power for last in range(1, steps + 1) for power in range(last))
    assert abs(gradient_weight(steps, momentum) - exact) <= exact / 10**39


def test_a_gradients_weight_without_momentum_is_one_a_step():
    assert gradient_weight(7, Decimal(0)) == 7
    assert gradient_weight(1, Decimal("0.9")) == 1
    assert gradient_weight(2, Decimal("0.5")) == Fraction(5, 2)


@given(momenta, st.integers(1, 2**31 - 1))
def test_a_gradients_weight_lies_between_the_steps_and_the_most_that_momentum_can_make(rho, steps):
    """So that a rule with any claim of steps gives a finite model."""
    assert steps <= gradient_weight(steps, rho) * (1 + Fraction(1, 10**39))
    assert gradient_weight(steps, rho) * (1 - Fraction(rho)) <= steps


@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 10**6), momenta)
def test_with_momentum_equal_steps_are_the_weighted_mean_byte_for_byte(seed, count, steps, rho):
    updates = [
        replace(one, header=replace(one.header, steps=steps))
        for one in random_updates(seed, count, 30)
    ]
    parent = np.random.default_rng(seed).standard_normal(30)
    expected = moved(WeightedMean(), parent, *updates)
    assert moved(FedNova(momentum=rho), parent, *updates).tobytes() == expected.tobytes()


def test_who_takes_more_steps_with_momentum_does_not_pull_harder():
    """A constant slope of 1: three steps with momentum 0.5 move a member by 1 + 1.5 + 1.75."""
    pair = [update(1, [4.25], steps=3), update(2, [-1.0], steps=1)]
    assert moved(FedNova(momentum=Decimal("0.5")), [0.0], *pair) == [0.0]
    assert moved(NOVA, [0.0], *pair) > 0.1


SGD = {"kind": "classifier", "momentum": "0.9"}


@pytest.mark.parametrize(
    ("learner", "momentum", "reason"),
    [
        ({**SGD, "momentum": 0}, "0", ""),
        (SGD, "0.9", ""),
        (SGD, "0.90", ""),
        (SGD, "0", 'use combine = {kind = "fednova", momentum = 0.9}'),
        (SGD, "0.5", "but the learner's SGD has momentum 0.9"),
        ({**SGD, "optimiser_state": "kept"}, "0.9", "use learner.optimiser_state = fresh"),
        ({**SGD, "optimiser": "adam"}, "0", ""),
        ({**SGD, "optimiser": "adam"}, "0.9", "but the learner's SGD has momentum 0"),
        ("gan", "0", ""),
    ],
)
def test_its_momentum_is_the_learners_and_starts_anew_in_each_round(learner, momentum, reason):
    nova = {"combine": {"kind": "fednova", "momentum": momentum}}
    refused = refusal(nova, learner=learner)
    assert reason in refused and bool(reason) == bool(refused)


def test_examples_still_count():
    pair = [update(1, [6.0], examples=3, steps=2), update(2, [4.0], examples=1, steps=4)]
    assert moved(NOVA, [0.0], *pair) == [2.5 * (0.75 * 3.0 + 0.25 * 1.0)]
