"""Kernel inception distance: its laws, and a second way to compute it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics.pairwise import polynomial_kernel

from fl_node.errors import Misuse
from fl_node.measures import kid, kid_with_error
from fl_node.measures.kid import ROWS


def normal(count: int, width: int = 4, shift: float = 0.0, seed: int = 0):
    return np.random.default_rng(seed).normal(shift, 1, (count, width))


def by_the_book(x_ND, y_MD) -> float:
    """The three means over kernel matrices, from another library."""
    within = [
        (kernel.sum() - kernel.trace()) / (len(kernel) * (len(kernel) - 1))
        for kernel in (polynomial_kernel(x, degree=3, coef0=1) for x in (x_ND, y_MD))
    ]
    return sum(within) - 2 * polynomial_kernel(x_ND, y_MD, degree=3, coef0=1).mean()


samples = st.integers(1, 5).flatmap(
    lambda width: st.tuples(
        *[
            st.integers(2, 8).flatmap(
                lambda count: arrays(np.float64, (count, width), elements=st.floats(-3, 3))
            )
        ]
        * 2
    )
)


@given(samples)
def test_it_is_the_estimator_of_the_paper_and_symmetric(pair):
    x_ND, y_MD = pair
    assert kid(x_ND, y_MD) == pytest.approx(by_the_book(x_ND, y_MD), rel=1e-9, abs=1e-9)
    assert kid(x_ND, y_MD) == pytest.approx(kid(y_MD, x_ND), rel=1e-9, abs=1e-9)


def test_more_samples_than_fit_into_memory_at_once_give_the_same():
    x_ND, y_MD = normal(2 * ROWS + 3), normal(ROWS + 1, shift=0.5, seed=1)
    assert kid(x_ND, y_MD) == pytest.approx(by_the_book(x_ND, y_MD))


@pytest.mark.parametrize("count", [2, 5, 40])
def test_equal_distributions_are_at_0_on_average_whatever_the_count(count):
    drawn = [
        kid(normal(count, seed=2 * seed), normal(count, seed=2 * seed + 1)) for seed in range(400)
    ]
    assert min(drawn) < 0 < max(drawn)
    assert abs(np.mean(drawn)) < 4 * np.std(drawn) / np.sqrt(len(drawn))


def test_its_mean_over_small_samples_is_its_value_over_large_ones():
    # E(xy + 1)^3 = 1 + 3 E(x)E(y) + 3 E(x^2)E(y^2) + E(x^3)E(y^3), with x normal around 0 and y around 1.
    x1, x2, x3, y1, y2, y3 = 0, 1, 0, 1, 2, 4
    expected = 3 * (x1 - y1) ** 2 + 3 * (x2 - y2) ** 2 + (x3 - y3) ** 2
    drawn = [
        kid(normal(9, 1, seed=2 * seed), normal(5, 1, 1.0, seed=2 * seed + 1))
        for seed in range(4000)
    ]
    assert abs(np.mean(drawn) - expected) < 4 * np.std(drawn) / np.sqrt(len(drawn))


def test_it_grows_with_the_distance():
    near, far = (kid(normal(500), normal(500, shift=shift, seed=1)) for shift in (0.2, 0.6))
    assert 0 < near < far


def test_the_error_is_that_of_repeating_the_measurement():
    estimates = [
        kid_with_error(normal(200, seed=2 * seed), normal(200, shift=1, seed=2 * seed + 1))
        for seed in range(100)
    ]
    actual = np.std([one.value for one in estimates], ddof=1)
    assert np.mean([one.error for one in estimates]) == pytest.approx(actual, rel=0.25)
    assert estimates[0].value == kid(normal(200, seed=0), normal(200, shift=1, seed=1))


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_samples_are_refused(count):
    for pair in ((normal(count), normal(9)), (normal(9), normal(count))):
        with pytest.raises(Misuse, match="at least 2 of each"):
            kid(*pair)


def test_an_error_needs_two_samples_in_each_block():
    assert kid_with_error(normal(20), normal(25)).error > 0
    with pytest.raises(Misuse, match="19 and 25 samples; at least 20"):
        kid_with_error(normal(19), normal(25))


@pytest.mark.parametrize("shapes", [((5, 3), (5, 4)), ((5,), (5,)), ((5, 3), (5, 3, 1))])
def test_other_shapes_are_refused(shapes):
    with pytest.raises(Misuse, match=r"expected \(N, D\) and \(M, D\)"):
        kid(*(np.zeros(shape) for shape in shapes))
