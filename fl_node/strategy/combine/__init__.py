"""Aggregation rules: pure functions from updates to the next model, with the same bytes on every machine.

Each rule, or group of rules that share code, has a file with its knobs, the manifests that it refuses, and the function
itself. To add a rule, write such a file and add one line to the table.
"""

from __future__ import annotations

from collections.abc import Mapping

from fl_node.fields import Choice
from fl_node.strategy.combine.fednova import FedNova, fednova
from fl_node.strategy.combine.krum import Krum, krum
from fl_node.strategy.combine.robust import Median, TrimmedMean, median, trimmed_mean
from fl_node.strategy.combine.rule import Rule, ascending
from fl_node.strategy.combine.server_optimisers import (
    MOMENTS,
    MOMENTUM,
    FedAdagrad,
    FedAdam,
    FedAvgM,
    FedYogi,
    fedadagrad,
    fedadam,
    fedavgm,
    fedyogi,
)
from fl_node.strategy.combine.weighted_mean import WeightedMean, weighted_mean

__all__ = [
    "COMBINE",
    "FedAdagrad",
    "FedAdam",
    "FedAvgM",
    "FedNova",
    "FedYogi",
    "Krum",
    "Median",
    "Rule",
    "TrimmedMean",
    "WeightedMean",
    "ascending",
    "weighted_mean",
]

COMBINE: Mapping[type[Choice], Rule] = {
    WeightedMean: Rule(weighted_mean),
    FedAvgM: Rule(fedavgm, MOMENTUM),
    FedAdagrad: Rule(fedadagrad, MOMENTS),
    FedAdam: Rule(fedadam, MOMENTS),
    FedYogi: Rule(fedyogi, MOMENTS),
    FedNova: Rule(fednova),
    Median: Rule(median),
    TrimmedMean: Rule(trimmed_mean),
    Krum: Rule(krum),
}
"""The choices for `strategy.combine` in a manifest. The first is the default."""
