"""Low rank: a matrix U is sent as B, where U is about A B and A follows from the seed.

Source: Konecny et al. 2016, "Structured updates: low rank" (arXiv:1610.05492). The paper trains B itself. Here B is the
least-squares fit to an update that was trained without the constraint, so that it goes with every training algorithm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from fl_node.arrays import Array
from fl_node.blobs.tensors import Spec
from fl_node.fields import Choice
from fl_node.strategy.encode.raw_bits import raw_signs
from fl_node.strategy.encode.stage import CHUNK, FLOAT32, Layout, Order, Stage

_SINGULAR = 1e-6
"""Singular values of A below this share of the largest count as 0: random signs can repeat a column."""


class LowRank(Choice):
    """Send `rank` rows for each tensor, seen as a matrix of shape[0] rows; this makes it shape[0]/rank times smaller.

    A tensor with at most `rank` rows, or with only one dimension, is sent unchanged. Biased: on average the decoded
    update is rank/shape[0] of the original, so use it with error feedback.
    """

    kind: Literal["low_rank"] = "low_rank"
    rank: Annotated[int, Field(ge=1, le=1024)] = 4


def _layout(knobs: LowRank, shape: tuple[int, ...]) -> Layout:
    if not _shrinks(knobs, shape):
        return Layout(Spec(shape, FLOAT32))
    return Layout(Spec((knobs.rank, math.prod(shape[1:])), FLOAT32))


def _encode(knobs: LowRank, values: Array, seed: int) -> tuple[Array, dict[str, Array]]:
    if not _shrinks(knobs, values.shape):
        return values, {}
    rows = values.shape[0]
    signs = raw_signs(seed, knobs.rank * rows).reshape(knobs.rank, rows)
    fit = np.linalg.pinv(signs.T.astype(np.float64), rcond=_SINGULAR).astype(np.float32)
    return fit @ values.reshape(rows, -1), {}


def _decode(
    knobs: LowRank, values: Array, side: Mapping[str, Array], shape: tuple[int, ...], seed: int
) -> Array:
    """Add the outer products in order of rank, element by element: BLAS would round differently on other machines."""
    if not _shrinks(knobs, shape):
        return values
    rows, columns = shape[0], values.shape[1]
    signs = raw_signs(seed, knobs.rank * rows).reshape(knobs.rank, rows, 1)
    matrix = np.empty((rows, columns), np.float32)
    height = max(1, CHUNK // columns)
    scratch = np.empty((min(height, rows), columns), np.float32)
    for start in range(0, rows, height):
        part = matrix[start : start + height]
        np.multiply(signs[0, start : start + height], values[0], out=part)
        for sign, row in zip(signs[1:, start : start + height], values[1:], strict=True):
            part += np.multiply(sign, row, out=scratch[: len(part)])
    return matrix.reshape(shape)


def _shrinks(knobs: LowRank, shape: tuple[int, ...]) -> bool:
    return len(shape) > 1 and shape[0] > knobs.rank


LOW_RANK = Stage(Order.PROJECT, _layout, _encode, _decode)
