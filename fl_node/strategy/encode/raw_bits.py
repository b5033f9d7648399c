"""Random bits that are the same on every machine: PCG64's raw output, the only random stream that numpy keeps stable.

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
"""The eight signs of each byte, one for each bit from the lowest; a set bit means -1."""


def raw_words(generator: np.random.PCG64, dtype: str, count: int) -> NDArray[Any]:
    """Draw the next `count` unsigned integers of a little-endian dtype. The rest of the last 64 bits is discarded."""
    size = count * np.dtype(dtype).itemsize
    drawn = generator.random_raw(-(-size // 8))
    return drawn.astype("<u8", copy=False).view(dtype)[:count]


def raw_signs(seed: int, count: int) -> NDArray[np.float32]:
    """Draw `count` signs, 1 or -1, as float32."""
    return _signs_of(raw_words(np.random.PCG64(seed), "u1", -(-count // 8)))[:count]


def flip_signs(flat: NDArray[np.float32], seed: int) -> None:
    """Multiply by `raw_signs` in place, in pieces that fit into the cache."""
    generator = np.random.PCG64(seed)
    for start in range(0, flat.size, CHUNK):
        part = flat[start : start + CHUNK]
        signs = _signs_of(raw_words(generator, "u1", -(-part.size // 8)))
        np.multiply(part, signs[: part.size], out=part)


def _signs_of(words: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.take(_SIGNS, words, axis=0).reshape(-1)
