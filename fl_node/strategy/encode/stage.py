"""The stages of a codec. A codec is a chain of stages, each of which turns a float32 tensor into a smaller one."""

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
"""Number of elements processed at a time, so that they stay in a core's cache. Must be a multiple of 64."""


class Order(IntEnum):
    """A stage's position in a chain. The stages of a chain must be in strictly ascending order."""

    PROJECT = 0
    """Needs the tensor as a matrix, which only the first stage sees."""
    SELECT = 1
    """Sends some of the elements. Comes before a rotation, after which all elements have about the same size."""
    ROTATE = 2
    """Makes the elements similar for the quantiser, so it comes right before that."""
    QUANTISE = 3
    """Turns floats into bytes, so it comes last."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The output of a stage for one float32 tensor of a given shape. It depends only on the shape and the knobs.

    Attributes:
        values: The input of the next stage, in float32; only the last stage may give another dtype.
        side: Additional arrays that are sent: part name to shape and dtype.
    """

    values: Spec
    side: Mapping[str, Spec] = field(default_factory=dict)


def no_variance(knobs: Any, rotated: bool) -> float:
    """For a stage that decodes what it sent without chance, even if that is only a part."""
    return 0.0


@dataclass(frozen=True, slots=True)
class Stage:
    """One way to make a tensor smaller. The first argument of each function is the stage's `Choice`, with its knobs.

    Attributes:
        order: Its position in a chain.
        layout: (knobs, shape) -> the layout of its output for a tensor of this shape.
        encode: (knobs, values, seed) -> values and side parts, as in the layout. `values` is float32, finite, in C
            order, and has at least one element. The same arguments give the same bytes on one machine.
        decode: (knobs, values, side, shape, seed) -> a float32 array of the shape. `values` and `side` have the
            layout's shapes and dtypes, but untrusted contents. The same arguments give the same bytes on every
            machine. Raises `BlobMalformed` for contents that no encoder writes.
        encode_credited: (knobs, values, credit) -> the same as `encode`, for a stage that sends the elements with the
            most credit; None for other stages. `credit` has a number for each element; larger ones matter more.
        variance: (knobs, whether a rotation came before) -> omega: the most that the expected squared error of
            decoding can be, as a multiple of the squared norm, for a stage whose decoding is right on average.
    """

    order: Order
    layout: Callable[[Any, tuple[int, ...]], Layout]
    encode: Callable[[Any, Array, int], tuple[Array, dict[str, Array]]]
    decode: Callable[[Any, Array, Mapping[str, Array], tuple[int, ...], int], Array]
    encode_credited: Callable[[Any, Array, Array], tuple[Array, dict[str, Array]]] | None = None
    variance: Callable[[Any, bool], float] = no_variance
