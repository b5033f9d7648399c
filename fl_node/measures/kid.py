"""Kernel inception distance: an unbiased estimate of the squared maximum mean discrepancy under a cubic kernel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fl_node.arrays import Array, Float64
from fl_node.errors import Misuse

BLOCKS = 10
ROWS = 1024
"""Number of rows of a kernel matrix that are held in memory at a time."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate from samples, and its standard error in the same unit."""

    value: float
    error: float


def kid(x_ND: Array, y_MD: Array) -> float:
    """Squared maximum mean discrepancy between two samples under the kernel k(x, y) = (x.y/D + 1)^3, in float64.

    Unbiased for any number of samples, so it can be negative if the distributions are alike. Its mean over several real
    samples ranks models as its value over all of them would. Symmetric up to rounding.

    Args:
        x_ND, y_MD: Features; at least 2 samples each, of the same dimension. Finite.

    Raises:
        Misuse: Fewer samples, or another shape.

    Source: Bińkowski et al. 2018 (arXiv:1801.01401), section 4; the estimator is Gretton et al. 2012, lemma 6.
    """
    verify_features(x_ND, y_MD)
    x_ND, y_MD = x_ND.astype(np.float64), y_MD.astype(np.float64)
    across = _kernel_sum(x_ND, y_MD) / (len(x_ND) * len(y_MD))
    return _mean_within(x_ND) + _mean_within(y_MD) - 2 * across


def kid_with_error(x_ND: Array, y_MD: Array, blocks: int = BLOCKS) -> Estimate:
    """`kid` over all samples, and its standard error from disjoint blocks of them.

    The error is the standard deviation of the blocks' estimates, divided by the root of their number. If the
    distributions differ, the variance falls as 1/N and this is the standard error. If they are equal, the variance
    falls as 1/N^2 and this is an overestimate.

    Args:
        x_ND, y_MD: As for `kid`, in random order; at least two samples for each block.
        blocks: At least 2.

    Raises:
        Misuse: Fewer samples, or another shape.
    """
    verify_features(x_ND, y_MD, 2 * blocks)
    parts = zip(np.array_split(x_ND, blocks), np.array_split(y_MD, blocks), strict=True)
    spread = np.std([kid(x, y) for x, y in parts], ddof=1)
    return Estimate(kid(x_ND, y_MD), float(spread / np.sqrt(blocks)))


def verify_features(x_ND: Array, y_MD: Array, least: int = 2) -> None:
    """Check that two samples can be compared.

    Raises:
        Misuse: Fewer than `least` samples, or not two matrices of equal width.
    """
    if x_ND.ndim != 2 or y_MD.ndim != 2 or x_ND.shape[1] != y_MD.shape[1]:
        raise Misuse(f"features: expected (N, D) and (M, D), got {x_ND.shape} and {y_MD.shape}")
    if min(len(x_ND), len(y_MD)) < least:
        raise Misuse(
            f"got {len(x_ND)} and {len(y_MD)} samples; at least {least} of each are needed"
        )


def _mean_within(x_ND: Float64) -> float:
    """Mean of the kernel over pairs of different samples."""
    count, width = x_ND.shape
    with_itself = ((x_ND**2).sum(axis=1) / width + 1) ** 3
    return float((_kernel_sum(x_ND, x_ND) - with_itself.sum()) / (count * (count - 1)))


def _kernel_sum(x_ND: Float64, y_MD: Float64) -> float:
    width = x_ND.shape[1]
    rows = (x_ND[at : at + ROWS] for at in range(0, len(x_ND), ROWS))
    return float(sum(((part @ y_MD.T / width + 1) ** 3).sum() for part in rows))
