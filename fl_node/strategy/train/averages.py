"""Means of arrays that one member takes by itself, over its devices or over parts of its training."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from fl_node.arithmetic import settle
from fl_node.arrays import Array, Arrays


def mean_arrays(several: Sequence[Arrays], weights: Sequence[int]) -> dict[str, Array]:
    """Average arrays by weight: float64, in the order given, rounded once to each array's dtype.

    Args:
        several: One or more; equal names, shapes and dtypes (float32 or integers). One alone is returned unchanged.
        weights: One for each, > 0.
    """
    return {name: _mean([arrays[name] for arrays in several], weights) for name in several[0]}


def _mean(arrays: Sequence[Array], weights: Sequence[int]) -> Array:
    products = (
        np.multiply(array, float(weight), dtype=np.float64)
        for array, weight in zip(arrays, weights, strict=True)
    )
    # Begun with the first product: 0 + -0.0 would lose a sign.
    mean = np.asarray(reduce(np.add, products) / float(sum(weights)))
    settled = np.empty_like(arrays[0])
    settle(mean, settled)
    return settled
