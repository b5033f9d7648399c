"""E2: what helps against non-IID data: the algorithms compared with FedAvg on the same partitions.

    uv run scripts/experiments/remedies.py

There are two tables: the accuracy of the global model on all test pictures, and the accuracy of each member's own model
on its own mix of classes, which is the aim of FedPer and Ditto.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from classifiers import SPLITS, classifier, epochs
from classifying import classified
from harness import Experiment
from reporting import Options, finals, markdown, read_options, results_of
from results import Result
from settings import Setting


def main() -> None:
    options = read_options(__doc__ or "")
    experiment = Experiment(settings(options), classified)
    results = results_of(experiment, options)
    for figure, title in (
        ("accuracy", "The global model on all classes: accuracy, %"),
        ("own", "Each member's own model on its own mix of classes: accuracy, %"),
    ):
        rows = [_row(name, results, figure) for name in strategies(options)]
        print(f"{title}\n\n{markdown(rows)}\n")


def strategies(options: Options) -> Mapping[str, Mapping[str, Any]]:
    """The rows: the name in the table, and the manifest's strategy."""
    per_round = epochs(options)
    # Half of the members do half of the work, and the others do one and a half times the work.
    uneven = {"epochs": [max(1, per_round // 2), per_round + per_round // 2] * 5}
    # FedNova weighs steps by the momentum of the members' optimiser.
    nova = {"kind": "fednova", "momentum": classifier(options, "").learner.get("momentum", "0")}
    return {
        "FedAvg": {},
        "FedProx, mu 0.01": {"train": {"kind": "proximal", "mu": "0.01"}},
        "FedProx, adaptive mu": {"train": {"kind": "adaptive_proximal"}},
        "SCAFFOLD": {"preset": "scaffold"},
        "FedNova": {"combine": nova},
        "FedAvg, uneven work": {"work": uneven},
        "FedNova, uneven work": {"work": uneven, "combine": nova},
        "LoAdaBoost": {"work": {"epochs": per_round, "until": "median_loss"}},
        "FedAdam, rate 0.03": {"combine": {"kind": "adam", "rate": "0.03"}},
        "two-stream MMD": {"train": {"kind": "two_stream"}},
        "FedPer": {"preset": "fedper"},
        "Ditto": {"train": {"kind": "ditto"}},
    }


def settings(options: Options) -> list[Setting]:
    """Each algorithm on each partition."""
    return [
        classifier(options, f"{name} | {split}", strategy, partition=rule)
        for name, strategy in strategies(options).items()
        for split, rule in SPLITS.items()
    ]


def _row(name: str, results: dict[str, list[Result]], figure: str) -> dict[str, str]:
    cells = {split: finals(results[f"{name} | {split}"], figure, scale=100) for split in SPLITS}
    return {"algorithm": name, **cells}


if __name__ == "__main__":
    main()
