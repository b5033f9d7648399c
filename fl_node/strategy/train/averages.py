"""Means of arrays within one member, over its devices or over portions of its training."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from fl_node.arithmetic import settle
from fl_node.arrays import Array, Arrays, floating


def mean_arrays(models: Sequence[Arrays], weights: Sequence[int]) -> dict[str, Array]:
    """Weighted mean of arrays: in float64, in the order given, rounded once to each array's dtype.

    Args:
        models: At least one; equal names, shapes and dtypes. The mean of one has the same bytes.
        weights: One for each, > 0.

    Returns:
        The means, and the first model's constants (`fl_node.arrays.floating`).
    """
    means = {
        name: _mean([arrays[name] for arrays in models], weights) for name in floating(models[0])
    }
    return {**models[0], **means}


def _mean(arrays: Sequence[Array], weights: Sequence[int]) -> Array:
    products = (
        np.multiply(array, float(weight), dtype=np.float64)
        for array, weight in zip(arrays, weights, strict=True)
    )
    # Starts with the first product, because 0 + -0.0 would lose the sign.
    mean = np.asarray(reduce(np.add, products) / float(sum(weights)))
    settled = np.empty_like(arrays[0])
    settle(mean, settled)
    return settled
