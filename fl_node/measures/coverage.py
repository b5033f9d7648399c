"""Which classes the samples show: a GAN that drops rare classes can look well in the other numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fl_node.arrays import Array

RARER = 5
"""A class is covered where it is at most this many times rarer among the samples than among the real pictures."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a classifier takes the samples for.

    Attributes:
        shares: Of the samples, by class up to the last that occurs; they add up to 1.
        covered: Classes found among the real pictures, and at most `RARER` times rarer among the samples.
        classes: Classes that the classifier finds among the real pictures at all.
    """

    shares: tuple[float, ...]
    covered: int
    classes: int


def coverage(predicted_N: Array, predicted_real_M: Array) -> Coverage:
    """Count the classes that samples cover.

    Both samples go through the same classifier, so that what it tends to mistake counts equally on both sides.

    Args:
        predicted_N, predicted_real_M: A class, from 0, for each sample and real picture; at least one each.
    """
    classes = 1 + int(max(predicted_N.max(), predicted_real_M.max()))
    counts_K = np.bincount(predicted_N, minlength=classes)
    real_K = np.bincount(predicted_real_M, minlength=classes)
    # In integers, so that a class that is exactly so much rarer is covered.
    covered_K = RARER * counts_K * len(predicted_real_M) >= real_K * len(predicted_N)
    shares = tuple((counts_K / len(predicted_N)).tolist())
    return Coverage(shares, int((covered_K & (real_K > 0)).sum()), int((real_K > 0).sum()))
