"""The rule of federated averaging: the mean of the updates, each weighted by its number of examples."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal

from fl_node.arithmetic import plus_mean
from fl_node.arrays import Array, Arrays
from fl_node.blobs.encoding import Update
from fl_node.fields import Choice
from fl_node.strategy.combine.sums import weighted_sums


class WeightedMean(Choice):
    """FedAvg. A single member can move the mean as far as the manifest's limits allow."""

    kind: Literal["weighted_mean"] = "weighted_mean"


def weighted_mean(
    knobs: WeightedMean,
    parent: Arrays,
    updates: Iterable[Update],
    statistics: Collection[str] = (),
) -> dict[str, Array]:
    """Move the parent by the mean of the updates (`Rule.combine`).

    w = round(parent + (n_1 u_1 + n_2 u_2 + ...) / (n_1 + n_2 + ...)). Holds one update and a float64 copy of the model
    in memory.

    Source: McMahan et al. 2017, Algorithm 1 (arXiv:1602.05629).
    """
    sums, examples = weighted_sums(parent, updates)
    if not examples:
        return dict(parent)
    return {name: plus_mean(parent[name], sums.pop(name), float(examples)) for name in parent}
