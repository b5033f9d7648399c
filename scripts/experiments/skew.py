"""E1: how far FedAvg falls behind central training on non-IID data.

    uv run scripts/experiments/skew.py
    uv run scripts/experiments/skew.py --data cifar10:FOLDER

Central training is one member with all of the data and the same number of epochs: it sees the same number of examples
as ten members, in as many steps as they take together. The last rows do the same work in a fifth of the rounds: the
longer members train between two averages, the further they drift apart.
"""

from __future__ import annotations

from classifiers import SPLITS, classifier, epochs
from classifying import classified
from harness import Experiment
from reporting import (
    Options,
    finals,
    markdown,
    mean_and_spread,
    read_options,
    results_of,
)
from results import Result
from settings import Setting

CENTRAL = "central"


def main() -> None:
    options = read_options(__doc__ or "")
    results = results_of(Experiment(settings(options), classified), options)
    print(markdown([_row(name, results) for name in results]))


def settings(options: Options) -> list[Setting]:
    """Central training, and FedAvg on each partition, with the usual work in a round and with five times as much."""
    central, longer = classifier(options, CENTRAL, members=1), 5 * epochs(options)
    return [
        central,
        *(classifier(options, split, partition=rule) for split, rule in SPLITS.items()),
        *(
            classifier(
                options,
                f"{split}, {longer} epochs a round",
                {"work": {"epochs": longer}},
                partition=rule,
                rounds=central.rounds // 5,
            )
            for split, rule in SPLITS.items()
        ),
    ]


def _row(name: str, results: dict[str, list[Result]]) -> dict[str, str]:
    pairs = zip(results[CENTRAL], results[name], strict=True)
    return {
        "data": name,
        "accuracy, %": finals(results[name], "accuracy", scale=100),
        "points below central": mean_and_spread([_drop(*pair) for pair in pairs], scale=100),
        "rounds": str(len(results[name][0].up)),
        "steps in all": str(sum(results[name][0].steps)),
    }


def _drop(central: Result, federated: Result) -> float | None:
    above, below = central.final("accuracy"), federated.final("accuracy")
    return None if above is None or below is None else above - below


if __name__ == "__main__":
    main()
