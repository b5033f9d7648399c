"""Sparse tensors: which elements are the largest, and how their positions are encoded.

Positions are in the Elias-Fano code, with whole bytes for the low part. For k ascending positions below n, first come
the `width` low bytes of each position, then a bit string in which position i sets bit (position >> 8 * width) + i. The
size follows from k and n, and each set of positions has exactly one encoding. If 1 % of the elements are sent, a
position takes 1.2 bytes instead of 3.

Source: Elias 1974, "Efficient storage and retrieval by content and address of static files"; Fano 1971.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from fl_node.arrays import Array
from fl_node.blobs.tensors import Spec
from fl_node.errors import BlobMalformed
from fl_node.strategy.encode.stage import FLOAT32, UINT8, Layout

Indices = NDArray[np.int64]


def count_of(fraction: Decimal, size: int) -> int:
    """The exact number of elements in a fraction of `size`, rounded up; at least 1 for a fraction above 0."""
    numerator, denominator = fraction.as_integer_ratio()
    return -(-size * numerator // denominator)


def sparse_layout(fraction: Decimal, shape: tuple[int, ...]) -> Layout:
    """The layout: the chosen elements in float32, and their positions as bytes in the part "indices"."""
    size = math.prod(shape)
    count = count_of(fraction, size)
    width = _low_width(count, size)
    size_of_indices = count * width + -(-_high_bits(count, size, width) // 8)
    return Layout(Spec((count,), FLOAT32), {"indices": Spec((size_of_indices,), UINT8)})


def gather(values: Array, indices: Indices) -> tuple[Array, dict[str, Array]]:
    """Take the elements at ascending positions, and encode the positions."""
    return values.reshape(-1)[indices], {"indices": _pack(indices, values.size)}


def scatter(
    values: Array, side: Mapping[str, Array], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Put the elements back at their positions; all others are zero.

    Raises:
        BlobMalformed: The positions do not ascend strictly within the tensor, or are not validly encoded.
    """
    flat = np.zeros(math.prod(shape), np.float32)
    flat[_unpack(side["indices"], values.size, flat.size)] = values
    return flat.reshape(shape)


def magnitudes(values: Array) -> NDArray[np.uint32]:
    """Keys that order finite float32 values by size. They are integers, which numpy orders twice as fast."""
    return np.abs(values).reshape(-1).view(np.uint32)


def largest(keys: Array, count: int, tie_breaker: Array | None = None) -> Indices:
    """Ascending positions of the `count` largest elements of a flat array.

    Among equal elements, those with the largest tie breaker win; if these are equal too, the lowest positions win.
    """
    threshold = np.partition(keys, keys.size - count)[keys.size - count]
    chosen = np.flatnonzero(keys >= threshold)
    surplus = chosen.size - count
    if not surplus:
        return chosen
    tied = np.flatnonzero(keys[chosen] == threshold)
    wins = np.arange(tied.size - surplus)
    if tie_breaker is not None:
        wins = largest(tie_breaker[chosen[tied]], wins.size)
    return np.delete(chosen, np.delete(tied, wins))


def _low_width(count: int, size: int) -> int:
    """The number of low bytes for each position that gives the shortest encoding; the smallest if several do."""
    return min(range(8), key=lambda width: 8 * count * width + _high_bits(count, size, width))


def _high_bits(count: int, size: int, width: int) -> int:
    return ((size - 1) >> (8 * width)) + count


def _pack(indices: Indices, size: int) -> NDArray[np.uint8]:
    width = _low_width(indices.size, size)
    low = indices.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :width]
    high = np.zeros(_high_bits(indices.size, size, width), np.uint8)
    high[(indices >> (8 * width)) + np.arange(indices.size)] = 1
    return np.concatenate([low.reshape(-1), np.packbits(high, bitorder="little")])


def _unpack(packed: Array, count: int, size: int) -> Indices:
    width = _low_width(count, size)
    bits = np.unpackbits(packed[count * width :], bitorder="little")
    set_bits = np.flatnonzero(bits)
    if set_bits.size != count or set_bits[-1] >= _high_bits(count, size, width):
        raise BlobMalformed(
            f"expected {count} positions, got {set_bits.size}, or one is past the end"
        )
    low = np.zeros((count, 8), np.uint8)
    low[:, :width] = packed[: count * width].reshape(count, width)
    indices = (set_bits - np.arange(count)) << (8 * width)
    indices |= low.view("<i8").reshape(-1)
    if indices[-1] >= size or np.any(indices[1:] <= indices[:-1]):
        raise BlobMalformed(f"positions must ascend strictly and be below {size}")
    return indices
