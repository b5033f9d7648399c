"""Top-k: send the elements with the largest absolute values, with their positions.

Sources: Aji and Heafield 2017, "Sparse communication for distributed gradient descent" (arXiv:1704.05021); Stich,
Cordonnier and Jaggi 2018, "Sparsified SGD with memory" (arXiv:1809.07599), which proves that it converges with error
feedback (`fl_node.strategy.encode.feedback`).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fl_node.arrays import Array
from fl_node.fields import Choice, Number
from fl_node.strategy.encode.sparse import (
    count_of,
    gather,
    largest,
    magnitudes,
    scatter,
    sparse_layout,
)
from fl_node.strategy.encode.stage import Layout, Order, Stage


class TopK(Choice):
    """Send a fraction of each tensor's elements, rounded up: the largest. Biased, so use it with error feedback."""

    kind: Literal["top_k"] = "top_k"
    sparse: ClassVar[bool] = True
    fraction: Annotated[Number, Field(gt=0, le=1)] = Decimal("0.01")


def _layout(knobs: TopK, shape: tuple[int, ...]) -> Layout:
    return sparse_layout(knobs.fraction, shape)


def _encode(knobs: TopK, values: Array, seed: int) -> tuple[Array, dict[str, Array]]:
    count = count_of(knobs.fraction, values.size)
    return gather(values, largest(magnitudes(values), count))


def _decode(
    knobs: TopK, values: Array, side: Mapping[str, Array], shape: tuple[int, ...], seed: int
) -> Array:
    return scatter(values, side, shape)


TOP_K = Stage(Order.SELECT, _layout, _encode, _decode)
