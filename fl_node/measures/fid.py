"""Fréchet inception distance: the distance between the means and covariances of two samples."""

from __future__ import annotations

import numpy as np

from fl_node.arrays import Array, Float64
from fl_node.measures.kid import Estimate, verify_features

DRAWS = 100
"""Number of bootstrap samples behind a standard error: it is itself within about 7 %."""


def fid(x_ND: Array, y_MD: Array) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of two samples' means and covariances, in float64; >= 0.

    Biased: it falls as samples are added, by an amount that depends on the model. Compare it only for equal numbers of
    samples (arXiv:1911.07023), and do not average it over members.

    Args:
        x_ND, y_MD: Features; at least 2 samples each, of the same dimension. Finite.

    Raises:
        Misuse: Fewer samples, or another shape.

    Source: Heusel et al. 2017 (arXiv:1706.08500), equation 6.
    """
    verify_features(x_ND, y_MD)
    return frechet_distance(*_moments(x_ND), *_moments(y_MD))


def fid_draws(x_ND: Array, y_MD: Array, seed: int, draws: int = DRAWS) -> Float64:
    """The FIDs of x to bootstrap samples of y: as many rows as y has, drawn from it with replacement.

    Their spread says how far the FID would move with other real pictures. Their mean is above the FID, because a
    bootstrap sample holds fewer different pictures. With the same seed and the same y, draw number i holds the same
    pictures for every x, so that models can be compared draw by draw.

    Args:
        x_ND, y_MD: As for `fid`: samples, and real pictures.
        seed: >= 0.
        draws: > 0. Each takes as long as `fid`.

    Returns:
        A float64 for each draw.

    Raises:
        Misuse: As for `fid`.

    Source: Efron 1979 (doi:10.1214/aos/1176344552).
    """
    verify_features(x_ND, y_MD)
    random = np.random.default_rng(seed)
    chosen = (random.integers(len(y_MD), size=len(y_MD)) for _ in range(draws))
    moments = _moments(x_ND)
    return np.array([frechet_distance(*moments, *_moments(y_MD[rows])) for rows in chosen])


def fid_with_error(x_ND: Array, y_MD: Array, seed: int, draws: int = DRAWS) -> Estimate:
    """`fid`, and its standard error for other real pictures: the standard deviation of `fid_draws`, of at least 2."""
    spread = np.std(fid_draws(x_ND, y_MD, seed, draws), ddof=1)
    return Estimate(fid(x_ND, y_MD), float(spread))


def frechet_distance(
    mean1_D: Float64, covariance1_DD: Float64, mean2_D: Float64, covariance2_DD: Float64
) -> float:
    """The squared 2-Wasserstein distance between two normal distributions.

    The trace of (C1 C2)^(1/2) is the sum of the singular values of C1^(1/2) C2^(1/2). This takes no root of a rounding
    error, so the distance of a distribution from itself is 0, even for singular covariances.
    """
    overlap = np.linalg.norm(_root(covariance1_DD) @ _root(covariance2_DD), "nuc")
    apart = ((mean1_D - mean2_D) ** 2).sum()
    return float(apart + np.trace(covariance1_DD) + np.trace(covariance2_DD) - 2 * overlap)


def _moments(x_ND: Array) -> tuple[Float64, Float64]:
    """Mean and covariance, in float64."""
    x_ND = x_ND.astype(np.float64)
    return x_ND.mean(axis=0), np.atleast_2d(np.cov(x_ND, rowvar=False))


def _root(covariance_DD: Float64) -> Float64:
    """The symmetric root. Eigenvalues that are below 0 because of rounding count as 0."""
    values_D, vectors_DD = np.linalg.eigh(covariance_DD)
    root: Float64 = (vectors_DD * np.sqrt(values_D.clip(0))) @ vectors_DD.T
    return root
