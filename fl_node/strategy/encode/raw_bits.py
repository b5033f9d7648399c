"""Random bits that two machines draw alike: PCG64's raw output, the only part of numpy's randomness promised for ever.

Source: numpy's NEP 19 (bit generators' streams are stable, distributions are not).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fl_node.strategy.encode.stage import CHUNK

_SIGNS = 1 - 2 * np.unpackbits(
    np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little"
).astype(np.float32)
"""Byte to eight signs, one for each bit from the lowest; a bit that is set means -1."""


def raw_words(generator: np.random.PCG64, dtype: str, count: int) -> NDArray[Any]:
    """Draw the next `count` unsigned integers of a little-endian dtype; what is over of the last 64 bits is dropped."""
    size = count * np.dtype(dtype).itemsize
    drawn = generator.random_raw(-(-size // 8))
    return drawn.astype("<u8", copy=False).view(dtype)[:count]


def raw_signs(seed: int, count: int) -> NDArray[np.float32]:
    """Draw `count` numbers, each 1 or -1, in float32."""
    return _signs_of(raw_words(np.random.PCG64(seed), "u1", -(-count // 8)))[:count]


def flip_signs(flat: NDArray[np.float32], seed: int) -> None:
    """Multiply by `raw_signs`, in place and a cacheful at a time."""
    generator = np.random.PCG64(seed)
    for start in range(0, flat.size, CHUNK):
        part = flat[start : start + CHUNK]
        signs = _signs_of(raw_words(generator, "u1", -(-part.size // 8)))
        np.multiply(part, signs[: part.size], out=part)


def _signs_of(words: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.take(_SIGNS, words, axis=0).reshape(-1)
