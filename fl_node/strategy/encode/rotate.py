"""Random rotation: spreads large values over many elements, so that a quantiser after it has a smaller error.

The rotation is random signs followed by a Walsh-Hadamard transform, scaled to keep the norm. A tensor is cut into as
many whole blocks as fit, and the rest into ever smaller powers of two, so that no padding is needed. Up to `ABREAST`
consecutive whole blocks are interleaved: of q such blocks, block j has the elements j, j + q, j + 2q and so on.

Source: Konecny et al. 2016, "Sketched updates: improving the quantization by structured random rotations"
(arXiv:1610.05492); Suresh et al. 2017 (arXiv:1611.00429).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from fl_node.arrays import Array
from fl_node.blobs.tensors import Spec
from fl_node.fields import Choice
from fl_node.strategy.encode.raw_bits import flip_signs
from fl_node.strategy.encode.stage import FLOAT32, Layout, Order, Stage

Float32 = NDArray[np.float32]

ABREAST = 128
"""Number of blocks transformed together, so that each step works on contiguous memory. Part of the encoding."""


def _power_of_two(value: int) -> int:
    if value & (value - 1):
        raise ValueError("expected a power of two")
    return value


class Rotate(Choice):
    """Rotate within blocks of `block` elements, a power of two."""

    kind: Literal["rotate"] = "rotate"
    block: Annotated[int, Field(ge=2, le=65_536), AfterValidator(_power_of_two)] = 1024


def _layout(knobs: Rotate, shape: tuple[int, ...]) -> Layout:
    return Layout(Spec((math.prod(shape),), FLOAT32))


def _encode(knobs: Rotate, values: Array, seed: int) -> tuple[Array, dict[str, Array]]:
    flat = values.flatten()
    flip_signs(flat, seed)
    _transform(flat, knobs.block)
    return flat, {}


def _decode(
    knobs: Rotate, values: Array, side: Mapping[str, Array], shape: tuple[int, ...], seed: int
) -> Array:
    flat = values.copy()
    _transform(flat, knobs.block)
    flip_signs(flat, seed)
    return flat.reshape(shape)


def _transform(flat: Float32, block: int) -> None:
    """Transform every block in place. The transform is its own inverse."""
    scratch = np.empty(min(flat.size, block * ABREAST), np.float32)
    for matrix in _blocks(flat, block):
        _hadamard(matrix, scratch[: matrix.size].reshape(matrix.shape))


def _blocks(flat: Float32, block: int) -> Iterator[Float32]:
    """Cut an array into matrices whose columns are blocks."""
    while flat.size:
        length = min(block, 1 << (flat.size.bit_length() - 1))
        columns = min(ABREAST, flat.size // length)
        yield flat[: length * columns].reshape(length, columns)
        flat = flat[length * columns :]


def _hadamard(matrix: Float32, scratch: Float32) -> None:
    """Walsh-Hadamard transform of each column in place, scaled to keep its norm.

    It consists of element-wise sums and differences at distance 1, 2, 4 and so on, then one multiplication.
    """
    rows, width = matrix.shape
    before, after = matrix, scratch
    distance = 1
    while distance < rows:
        old, new = (values.reshape(-1, 2, distance * width) for values in (before, after))
        np.add(old[:, 0], old[:, 1], out=new[:, 0])
        np.subtract(old[:, 0], old[:, 1], out=new[:, 1])
        before, after = after, before
        distance *= 2
    np.multiply(before, np.float32(1 / math.sqrt(rows)), out=matrix)


ROTATE = Stage(Order.ROTATE, _layout, _encode, _decode)
