"""Small numbers packed into bytes, the first in the lowest bits."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from fl_node.errors import BlobMalformed

Bytes = NDArray[np.uint8]


def packed_size(count: int, bits: int) -> int:
    """Number of bytes that hold `count` numbers of `bits` bits each."""
    return -(-count * bits // 8)


def pack(numbers: Bytes, bits: int) -> Bytes:
    """Pack numbers below 2**bits, where bits is 1, 2, 4 or 8. Unused bits of the last byte are 0."""
    together = 8 // bits
    whole = numbers.size // together * together
    if whole < numbers.size:
        padding = np.zeros(whole + together - numbers.size, np.uint8)
        numbers = np.concatenate([numbers, padding])
    # A word holds the numbers of one packed byte, one in each of its bytes. Shifts move them into its lowest byte.
    words = numbers.view(f"<u{together}")
    packed = words.copy()
    for position in range(1, together):
        packed |= words >> position * (8 - bits)
    return packed.astype(np.uint8)


def unpack(packed: Bytes, bits: int, count: int) -> NDArray[np.float32]:
    """Unpack `count` numbers, as float32. Unused bits of the last byte are ignored."""
    return np.take(_numbers_of_byte(bits), packed, axis=0).reshape(-1)[:count]


def verify_padding(packed: Bytes, bits: int, count: int) -> None:
    """Refuse another encoding of the same numbers.

    Raises:
        BlobMalformed: An unused bit of the last byte is not 0.
    """
    used = count * bits % 8
    if used and packed[-1] >> used:
        raise BlobMalformed(f"unused bits of the last byte are not 0: {packed[-1]:08b}")


@cache
def _numbers_of_byte(bits: int) -> NDArray[np.float32]:
    """The numbers in each possible byte; (256, 8 / bits)."""
    shifts = np.arange(0, 8, bits)
    return (np.arange(256)[:, None] >> shifts & (1 << bits) - 1).astype(np.float32)
