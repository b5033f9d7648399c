"""FedNova: averaging in which members that take more steps do not pull the model towards their own optimum."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal

from fl_node.arithmetic import plus_mean
from fl_node.arrays import Array, Arrays, Float64
from fl_node.blobs.encoding import Update
from fl_node.fields import Choice
from fl_node.strategy.combine.rule import ascending
from fl_node.strategy.combine.sums import add_scaled


class FedNova(Choice):
    """Normalised averaging, for members that take different numbers of steps.

    Each update is divided by its number of steps. This is exact for plain SGD, and an approximation for local momentum
    or Adam. Members report their own steps: a member that claims too many makes its own update count less, and scales
    up everybody's.
    """

    kind: Literal["fednova"] = "fednova"


def fednova(
    knobs: FedNova,
    parent: Arrays,
    updates: Iterable[Update],
    statistics: Collection[str] = (),
) -> dict[str, Array]:
    """Move the parent by the mean update per step, times the mean number of steps (`Rule.combine`).

    w = parent + (sum p_k a_k) * sum p_k u_k / a_k, where member k has the share p_k = n_k / n of the examples and took
    a_k steps. Every factor of a tensor is computed exactly and rounded once. With equal steps the result is therefore
    the weighted mean's, byte for byte. Statistics always move by the weighted mean: they are measured, and do not grow
    with the steps. Holds one update and a float64 copy of the model in memory.

    Source: Wang et al. 2020 (arXiv:2007.07481), with a_k = tau_k.
    """
    sums: dict[str, Float64] = {}
    weights = parent.keys() - set(statistics)
    examples = work = unit = 0
    for update in ascending(updates):
        count, steps = update.header.num_examples, update.header.steps
        unit = unit or steps  # Counting in units of the first member's steps cancels out exactly.
        examples += count
        work += count * steps
        add_scaled(sums, weights, update, count * unit / steps)
        add_scaled(sums, statistics, update, float(count))
    if not examples:
        return dict(parent)
    divisor = examples * examples * unit / work
    return {
        name: plus_mean(array, sums.pop(name), divisor if name in weights else float(examples))
        for name, array in parent.items()
    }
