"""Weighted sums of updates, which most rules of combination begin with (`fl_node.arithmetic` has the rounding)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fl_node import arithmetic
from fl_node.arithmetic import pieces
from fl_node.arrays import Array, Arrays, Float64
from fl_node.blobs.encoding import Update
from fl_node.strategy.combine.rule import ascending


def weighted_sums(model: Arrays, updates: Iterable[Update]) -> tuple[dict[str, Float64], int]:
    """The sum of the updates, each times its number of examples, and the number of all examples.

    Updates are taken one at a time: one of them and a float64 copy of the model are in memory at once.

    Returns:
        Flat sums for each tensor of the model, and the number they are to be divided by. No update: no sums, and 0.

    Raises:
        Misuse: The updates are not in ascending order of client.
    """
    sums: dict[str, Float64] = {}
    examples = 0
    for update in ascending(updates):
        examples += update.header.num_examples
        add_scaled(sums, model, update, float(update.header.num_examples))
    return sums, examples


def add_scaled(sums: dict[str, Float64], model: Arrays, update: Update, factor: float) -> None:
    """Add factor * update to the flat sums, in place; the first update begins them."""
    for name in model:
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
