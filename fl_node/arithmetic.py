"""Sums over arrays that come to the same bytes on every machine.

float64 throughout, one rounding for each multiplication, addition, division and square root (numpy's element-wise
loops fuse none of them), and one to the tensor's own dtype. No BLAS and no `np.sum`, whose order of additions depends
on the machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from fl_node.arrays import Array, Float64

CHUNK = 32_768
"""Elements worked on at a time: they stay in a core's cache. Any number gives the same result."""


def pieces(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Walk through arrays of equally many elements together: flat views of `CHUNK` elements, the last ones shorter."""
    flat = [array.reshape(-1) for array in arrays]
    for start in range(0, flat[0].size, CHUNK):
        yield tuple(array[start : start + CHUNK] for array in flat)


def plus_mean(parent: Array, total: Float64, divisor: float) -> Array:
    """parent + total / divisor, settled in the parent's dtype. Uses up `total`."""
    result = np.empty(parent.shape, parent.dtype)
    for start, step, out in pieces(parent, total, result):
        np.divide(step, divisor, out=step)
        np.add(start, step, out=step)
        settle(step, out)
    return result


def settle(values: Float64, out: Array) -> None:
    """Write the values into `out`, rounded once to its dtype and held within its range. Uses up `values`.

    The range, because what a cast beyond it gives depends on the machine, and an infinite weight ends all training.
    """
    if out.dtype.kind in "iu":
        np.rint(values, out=values)
    low, high = _range(out.dtype)
    out[...] = np.clip(values, low, high, out=values)


@cache
def _range(dtype: np.dtype[Any]) -> tuple[float, float]:
    """The least and the greatest float64 that are finite values of the dtype."""
    if dtype.kind == "f":
        return float(np.finfo(dtype).min), float(np.finfo(dtype).max)
    limits = np.iinfo(dtype)
    high = float(limits.max)
    # The greatest int64 is no float64: it would be rounded up, out of the range.
    return float(limits.min), high if high <= limits.max else float(np.nextafter(high, 0.0))
