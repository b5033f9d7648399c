"""The experiments' classifier, small for two cores or large for a GPU, and the partitions of its data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reporting import Options
from settings import Setting

SPLITS: Mapping[str, str] = {
    "IID": "iid",
    "Dirichlet(0.5)": "dirichlet:0.5",
    "2 classes": "classes:2",
    "1 class": "classes:1",
}
"""How the data is partitioned: the name in the tables, and the value of `--partition`."""


def classifier(
    options: Options, name: str, strategy: Mapping[str, Any] | None = None, **fields: Any
) -> Setting:
    """A setting of the chosen size and data: ten members, plain SGD, and `epochs(options)` in a round.

    Args:
        options: Its size and data are used.
        name: The setting's name.
        strategy: The manifest's section; without `work` it has `epochs(options)`.
        fields: Other fields of the setting, which take precedence.
    """
    work = {"epochs": epochs(options), **(strategy or {}).get("work", {})}
    chosen: dict[str, Any] = {**(strategy or {}), "work": work}
    return Setting(name, strategy=chosen, **{**_fields(options), **fields})


def epochs(options: Options) -> int:
    """Number of passes over its data that a member makes in a round."""
    return 10 if options.size == "large" else 2


def _fields(options: Options) -> dict[str, Any]:
    if options.size == "large":  # Flower's niid_bench: 10 members, 50 rounds, E = 10, B = 64.
        learner = {
            "network": "resnet18",
            "width": 64,
            "batch": 64,
            "rate": "0.01",
            "momentum": "0.9",
        }
        return {"data": "cifar10", "rounds": 50, "learner": _learner(learner), "every": 5}
    if options.data == "cifar10":
        learner = {"width": 16, "batch": 32, "rate": "0.1"}
        limits = {"pictures": 2_000, "tests": 1_000}
        return {"data": "cifar10", "rounds": 15, "learner": _learner(learner), "every": 5, **limits}
    learner = {"width": 8, "batch": 32, "rate": "0.1"}
    return {"rounds": 15, "learner": _learner(learner), "every": 5}


def _learner(knobs: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "classifier", **knobs}
