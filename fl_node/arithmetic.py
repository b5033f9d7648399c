"""Sums over arrays that give the same bytes on every machine.

All arithmetic is in float64. Each multiplication, addition, division and square root rounds once (numpy's element-wise
loops never fuse two of them), and the result is rounded once more to the tensor's dtype. BLAS and `np.sum` are not
used, because their order of additions depends on the machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from fl_node.arrays import Array, Float64

CHUNK = 32_768
"""Number of elements processed at a time, so that they stay in a core's cache. Does not affect the result."""


def pieces(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Walk through arrays of the same size together, in flat views of `CHUNK` elements; the last views are shorter."""
    flat = [array.reshape(-1) for array in arrays]
    for start in range(0, flat[0].size, CHUNK):
        yield tuple(array[start : start + CHUNK] for array in flat)


def plus_mean(parent: Array, total: Float64, divisor: float) -> Array:
    """parent + total / divisor, settled in the parent's dtype. Overwrites `total`."""
    result = np.empty(parent.shape, parent.dtype)
    for start, step, out in pieces(parent, total, result):
        np.divide(step, divisor, out=step)
        np.add(start, step, out=step)
        settle(step, out)
    return result


def settle(values: Float64, out: Array) -> None:
    """Write the values into `out`, rounded once to its dtype and clipped to its range. Overwrites `values`.

    They are clipped because a cast from outside the range depends on the machine, and because a single infinite weight
    would ruin the model.
    """
    low, high = _range(out.dtype)
    out[...] = np.clip(values, low, high, out=values)


@cache
def _range(dtype: np.dtype[Any]) -> tuple[float, float]:
    """The least and the greatest finite value of the dtype."""
    return float(np.finfo(dtype).min), float(np.finfo(dtype).max)
