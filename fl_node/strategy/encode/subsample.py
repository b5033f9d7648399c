"""Subsampling: send one element out of each run of elements. The seed determines which, so positions are not sent.

Source: Konecny et al. 2016, "Sketched updates: subsampling" (arXiv:1610.05492). The mask is stratified, with one
element from each run: the size is known in advance, and the variance is no larger than that of a uniform mask.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fl_node.arrays import Array
from fl_node.blobs.tensors import Spec
from fl_node.fields import Beside, Choice
from fl_node.strategy.encode.raw_bits import raw_words
from fl_node.strategy.encode.stage import FLOAT32, Layout, Order, Stage


class Subsample(Choice):
    """Send one of every `one_in` consecutive elements, multiplied by `one_in`, so that the result is unbiased.

    With error feedback it must be unscaled: elements that were not sent are sent later, so scaling would count twice.
    """

    kind: Literal["subsample"] = "subsample"
    sparse: ClassVar[bool] = True
    one_in: Annotated[int, Field(ge=2, le=65_536)] = 16
    scaled: bool = True

    def objection(self, beside: Beside) -> str | None:
        feedback = beside.feedback > 0
        if feedback and self.scaled:
            return "with error feedback the error of scaled subsampling grows from round to round: set scaled = false"
        if not feedback and not self.scaled:
            return f"unscaled subsampling without error feedback divides updates by {self.one_in}: set scaled = true"
        return None


def _layout(knobs: Subsample, shape: tuple[int, ...]) -> Layout:
    return Layout(Spec((-(-math.prod(shape) // knobs.one_in),), FLOAT32))


def _encode(knobs: Subsample, values: Array, seed: int) -> tuple[Array, dict[str, Array]]:
    sent = values.reshape(-1)[_chosen(knobs, values.size, seed)]
    if knobs.scaled:
        sent[:-1] *= np.float32(knobs.one_in)
        sent[-1] *= np.float32(_last_run(knobs, values.size))
    return sent, {}


def _decode(
    knobs: Subsample, values: Array, side: Mapping[str, Array], shape: tuple[int, ...], seed: int
) -> Array:
    flat = np.zeros(math.prod(shape), np.float32)
    flat[_chosen(knobs, flat.size, seed)] = values
    return flat.reshape(shape)


def _chosen(knobs: Subsample, size: int, seed: int) -> NDArray[np.int64]:
    """One index from each run: the run's length times a random 32-bit fraction, rounded down."""
    runs = -(-size // knobs.one_in)
    lengths = np.full(runs, knobs.one_in, np.int64)
    lengths[-1] = _last_run(knobs, size)
    offsets = raw_words(np.random.PCG64(seed), "<u4", runs).astype(np.int64)
    offsets *= lengths
    offsets >>= 32
    offsets += np.arange(0, size, knobs.one_in)
    return offsets


def _last_run(knobs: Subsample, size: int) -> int:
    return (size - 1) % knobs.one_in + 1


def _variance(knobs: Subsample, rotated: bool) -> float:
    """One element of n is sent n times as large, so that the expected squared norm is n times the original."""
    return knobs.one_in - 1.0 if knobs.scaled else 0.0


SUBSAMPLE = Stage(Order.SELECT, _layout, _encode, _decode, variance=_variance)
