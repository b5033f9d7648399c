"""What a stage of a codec is. A codec is a chain of stages; each turns one float32 tensor into a smaller one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np

from fl_node.arrays import Array
from fl_node.blobs.tensors import Spec

FLOAT32 = np.dtype(np.float32)
UINT8 = np.dtype(np.uint8)

CHUNK = 32_768
"""Elements worked on at a time: they stay in a core's cache. Any multiple of 64 gives the same result."""


class Order(IntEnum):
    """Where in a chain a stage may stand: the places of a chain's stages ascend strictly."""

    PROJECT = 0
    """Sees the tensor as a matrix, which is gone after the other stages."""
    SELECT = 1
    """Sends some elements of many. After a rotation all of them would be of about one size, so it comes before."""
    ROTATE = 2
    """Makes the elements alike for the sake of the quantiser, so it comes right before that."""
    QUANTISE = 3
    """Makes bytes of floats, so it comes last."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a stage makes of one float32 tensor of a given shape. Sizes depend on shape and knobs only.

    Attributes:
        values: Goes on to the next stage, in float32; the last stage alone may make another dtype.
        side: Travels beside it: part name to shape and dtype.
    """

    values: Spec
    side: Mapping[str, Spec] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stage:
    """One way to make a tensor smaller. The first argument of each function is the stage's `Choice`, with the knobs.

    Attributes:
        order: Where in a chain it may stand.
        layout: (knobs, shape) to what comes of a tensor of this shape.
        encode: (knobs, values, seed) to values and side parts as laid out. `values` is float32, in C order, of at
            least one element, and finite. Same arguments, same bytes on one machine.
        decode: (knobs, values, side, shape, seed) to a float32 array of the shape. `values` and `side` have the shapes
            and dtypes laid out, and contents by anyone. Same arguments, same bytes on every machine. Raises
            `BlobMalformed` for contents that no encoder writes.
        encode_credited: (knobs, values, credit) to the same as `encode`, for a stage that sends what has earned most
            credit; None for any other. `credit` has a number for each element, larger where it matters more.
    """

    order: Order
    layout: Callable[[Any, tuple[int, ...]], Layout]
    encode: Callable[[Any, Array, int], tuple[Array, dict[str, Array]]]
    decode: Callable[[Any, Array, Mapping[str, Array], tuple[int, ...], int], Array]
    encode_credited: Callable[[Any, Array, Array], tuple[Array, dict[str, Array]]] | None = None
