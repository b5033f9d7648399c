"""Which classes the samples show. A GAN that drops rare classes can still have good values in the other measures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fl_node.arrays import Array

RARER = 5
"""A class is covered if it is at most this many times rarer among the samples than among the real pictures."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """How a classifier classifies the samples.

    Attributes:
        shares: Share of the samples in each class, up to the last class that occurs; they add up to 1.
        covered: Number of classes that occur among the real pictures, and are at most `RARER` times rarer among the
            samples.
        classes: Number of classes that the classifier finds among the real pictures.
    """

    shares: tuple[float, ...]
    covered: int
    classes: int


def coverage(predicted_N: Array, predicted_real_M: Array) -> Coverage:
    """Count the classes that samples cover.

    Both are classified by the same classifier, so that its errors affect both sides equally.

    Args:
        predicted_N, predicted_real_M: The class, from 0, of each sample and each real picture; at least one of each.
    """
    classes = 1 + int(max(predicted_N.max(), predicted_real_M.max()))
    counts_K = np.bincount(predicted_N, minlength=classes)
    real_K = np.bincount(predicted_real_M, minlength=classes)
    # In integers, so that a class that is exactly `RARER` times rarer is covered.
    covered_K = RARER * counts_K * len(predicted_real_M) >= real_K * len(predicted_N)
    shares = tuple((counts_K / len(predicted_N)).tolist())
    return Coverage(shares, int((covered_K & (real_K > 0)).sum()), int((real_K > 0).sum()))
