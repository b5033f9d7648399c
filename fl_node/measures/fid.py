"""Fréchet inception distance: the distance between the means and covariances of two samples."""

from __future__ import annotations

import numpy as np

from fl_node.arrays import Array, Float64
from fl_node.measures.kid import verify_features


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
    x_ND, y_MD = x_ND.astype(np.float64), y_MD.astype(np.float64)
    return frechet_distance(
        x_ND.mean(axis=0), _covariance(x_ND), y_MD.mean(axis=0), _covariance(y_MD)
    )


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


def _covariance(x_ND: Float64) -> Float64:
    return np.atleast_2d(np.cov(x_ND, rowvar=False))


def _root(covariance_DD: Float64) -> Float64:
    """The symmetric root. Eigenvalues that are below 0 because of rounding count as 0."""
    values_D, vectors_DD = np.linalg.eigh(covariance_DD)
    root: Float64 = (vectors_DD * np.sqrt(values_D.clip(0))) @ vectors_DD.T
    return root
