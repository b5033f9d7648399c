"""Weighted sums of updates, with which most aggregation rules begin (for the rounding see `fl_node.arithmetic`)."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np

from fl_node import arithmetic
from fl_node.arithmetic import pieces
from fl_node.arrays import Array, Float64
from fl_node.blobs.encoding import Update
from fl_node.strategy.combine.rule import ascending


def weighted_sums(
    names: Collection[str], updates: Iterable[Update], equal: bool = False
) -> tuple[dict[str, Float64], int]:
    """The sum of the updates, each multiplied by its weight, and the total weight.

    Holds one update and a float64 copy of the model in memory.

    Args:
        equal: Whether each update has the weight 1; otherwise its weight is its number of examples.

    Returns:
        A flat sum for each of the named tensors, and the total to divide by; without updates, no sums and 0.

    Raises:
        Misuse: The updates are not in ascending order of client.
    """
    sums: dict[str, Float64] = {}
    total = 0
    for update in ascending(updates):
        weight = 1 if equal else update.header.num_examples
        total += weight
        add_scaled(sums, names, update, float(weight))
    return sums, total


def add_scaled(
    sums: dict[str, Float64], names: Iterable[str], update: Update, factor: float
) -> None:
    """Add factor * update, of the named tensors, to the flat sums, in place; the first update creates them."""
    for name in names:
        values = update.arrays[name]
        if name not in sums:
            sums[name] = np.empty(values.size)
            for total, part in pieces(sums[name], values):
                total[...] = part
                np.multiply(total, factor, out=total)
        else:
            _add_scaled(sums[name], values, factor)


def _add_scaled(total: Float64, values: Array, factor: float) -> None:
    scratch = np.empty(min(arithmetic.CHUNK, values.size))
    for sums, part in pieces(total, values):
        scaled = scratch[: part.size]
        scaled[...] = part
        np.multiply(scaled, factor, out=scaled)
        np.add(sums, scaled, out=sums)
