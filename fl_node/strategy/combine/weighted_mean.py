"""The rule of federated averaging: the mean of the updates, weighted by examples or plain."""

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
    weights: Literal["examples", "equal"] = "examples"
    """Whether an update weighs as many examples as it was trained on, as in FedAvg, or as much as any other."""


def weighted_mean(
    knobs: WeightedMean,
    parent: Arrays,
    updates: Iterable[Update],
    statistics: Collection[str] = (),
) -> dict[str, Array]:
    """Move the parent by the mean of the updates (`Rule.combine`).

    w = round(parent + (n_1 u_1 + n_2 u_2 + ...) / (n_1 + n_2 + ...)), with n_k = 1 if the weights are equal. Holds one
    update and a float64 copy of the model in memory.

    Sources: McMahan et al. 2017, Algorithm 1 (arXiv:1602.05629); for equal weights Karimireddy et al. 2019, Algorithm 1
    (arXiv:1910.06378).
    """
    sums, total = weighted_sums(parent, updates, equal=knobs.weights == "equal")
    if not total:
        return dict(parent)
    return {name: plus_mean(parent[name], sums.pop(name), float(total)) for name in parent}
