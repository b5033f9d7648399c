"""Fréchet inception distance, against closed forms and another way to compute it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from fl_node.errors import Misuse
from fl_node.measures import fid, fid_draws, fid_with_error
from fl_node.measures.fid import frechet_distance

seeds = st.integers(0, 2**32 - 1)


def normal(count: int, width: int, seed: int, shift: float = 0.0, scale: float = 1.0):
    return np.random.default_rng(seed).normal(shift, scale, (count, width))


@given(seeds, st.integers(2, 30))
def test_a_sample_is_at_0_from_itself_and_from_itself_in_another_order(seed, count):
    x_ND = normal(count, 8, seed)  # fewer samples than dimensions, too: a singular covariance
    assert fid(x_ND, x_ND) == pytest.approx(0, abs=1e-9)
    assert fid(x_ND, x_ND[::-1]) == pytest.approx(0, abs=1e-9)


@given(seeds)
def test_it_is_symmetric_and_not_below_0(seed):
    x_ND, y_MD = normal(12, 6, seed), normal(9, 6, seed + 1, shift=0.3)
    assert fid(x_ND, y_MD) == pytest.approx(fid(y_MD, x_ND))
    assert fid(x_ND, y_MD) > 0


@given(seeds)
def test_it_is_what_the_matrix_root_gives(seed):
    x_ND, y_MD = normal(40, 5, seed), normal(30, 5, seed + 1, 0.5, 2.0)
    one, other = np.cov(x_ND.T), np.cov(y_MD.T)
    apart = ((x_ND.mean(0) - y_MD.mean(0)) ** 2).sum()
    expected = apart + np.trace(one + other - 2 * np.real(sqrtm(one @ other)))
    assert fid(x_ND, y_MD) == pytest.approx(expected)


def test_a_shift_alone_costs_its_square():
    x_ND = normal(50, 3, seed=1)
    assert fid(x_ND, x_ND + np.array([1.0, 2.0, 2.0])) == pytest.approx(9)


def test_normal_distributions_have_a_closed_form():
    # Diagonal covariances commute: the sum of (s1 - s2)^2 beside the means' distance.
    s1, s2 = np.array([1.0, 2.0, 0.0]), np.array([3.0, 2.0, 4.0])
    expected = 4 + (4 + 0 + 16)
    distance = frechet_distance(
        np.zeros(3), np.diag(s1**2), np.array([0.0, 2.0, 0.0]), np.diag(s2**2)
    )
    assert distance == pytest.approx(expected)
    # One dimension, from samples: mean apart 1, deviations 1 and 3.
    assert fid(normal(100_000, 1, 0), normal(100_000, 1, 1, 1.0, 3.0)) == pytest.approx(5, rel=0.02)


@pytest.mark.parametrize("counts", [(1, 5), (5, 1), (0, 5)])
def test_too_few_samples_are_refused(counts):
    with pytest.raises(Misuse, match="at least 2 of each"):
        fid(*(np.zeros((count, 3)) for count in counts))
    with pytest.raises(Misuse, match="at least 2 of each"):
        fid_draws(*(np.zeros((count, 3)) for count in counts), seed=0)


def test_the_error_is_that_of_measuring_on_other_real_pictures():
    x_ND = normal(200, 6, seed=0, shift=0.5)
    estimates = [fid_with_error(x_ND, normal(150, 6, seed), seed=1) for seed in range(1, 61)]
    actual = np.std([one.value for one in estimates], ddof=1)
    assert np.mean([one.error for one in estimates]) == pytest.approx(actual, rel=0.25)
    assert estimates[0].value == fid(x_ND, normal(150, 6, seed=1))


def test_draws_of_one_seed_hold_the_same_real_pictures_for_every_model():
    y_MD = normal(60, 4, seed=9)
    one, other = (fid_draws(normal(50, 4, at, shift=0.5), y_MD, seed=1, draws=40) for at in (1, 2))
    assert np.corrcoef(one, other)[0, 1] > 0.8
    apart = fid_draws(normal(50, 4, 2, shift=0.5), y_MD, seed=2, draws=40)
    assert abs(np.corrcoef(one, apart)[0, 1]) < 0.6
    assert np.array_equal(one, fid_draws(normal(50, 4, 1, shift=0.5), y_MD, seed=1, draws=40))


def test_draws_are_above_the_distance_on_average():
    x_ND, y_MD = normal(80, 6, seed=1), normal(60, 6, seed=2)
    assert fid_draws(x_ND, y_MD, seed=0).mean() > fid(x_ND, y_MD)
