"""FedNova: members that took more steps do not pull the model towards their own optimum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from fl_node.arithmetic import plus_mean
from fl_node.arrays import Array, Arrays, Float64
from fl_node.blobs.encoding import Update
from fl_node.fields import Choice
from fl_node.strategy.combine.rule import ascending
from fl_node.strategy.combine.sums import add_scaled


class FedNova(Choice):
    """Normalised averaging, for members that take different numbers of steps.

    An update is divided by the steps it took, as plain SGD asks for; with local momentum or Adam that is an
    approximation. The steps are what each member says: who claims too many makes its own update count less and
    everybody's longer.
    """

    kind: Literal["fednova"] = "fednova"


def fednova(knobs: FedNova, parent: Arrays, updates: Iterable[Update]) -> dict[str, Array]:
    """Move the parent by the mean update per step, times the mean number of steps (`Rule.combine`).

    With p_k = n_k / n and a_k steps: w = parent + (sum p_k a_k) * sum p_k u_k / a_k. Every number that multiplies or
    divides a tensor is computed exactly and rounded once, so that with equal steps the result is the weighted mean's,
    byte for byte. One update and a float64 copy of the model are in memory at once.

    Source: Wang et al. 2020 (arXiv:2007.07481), with a_k = tau_k.
    """
    sums: dict[str, Float64] = {}
    examples = work = unit = 0
    for update in ascending(updates):
        count, steps = update.header.num_examples, update.header.steps
        unit = unit or steps  # Counting in the first member's steps cancels out, exactly.
        examples += count
        work += count * steps
        add_scaled(sums, parent, update, count * unit / steps)
    if not examples:
        return dict(parent)
    divisor = examples * examples * unit / work
    return {name: plus_mean(parent[name], sums.pop(name), divisor) for name in parent}
