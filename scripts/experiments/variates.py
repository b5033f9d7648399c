"""E4: SCAFFOLD beside codecs: do control variates survive a codec that loses much?

    uv run scripts/experiments/variates.py

With a codec that is right only on average, SCAFFOLD's variates move by a step below 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from classifiers import classifier
from classifying import classified
from codecs_quality import CODECS
from harness import Experiment, Result, Setting
from reporting import Options, finals, markdown, read_options, results_of

ALGORITHMS = ("FedAvg", "SCAFFOLD")
SHOWN = ("float32", "top 1 %, feedback", "one in 16, rotate, 2 bits")
"""The columns: codecs of codecs_quality.py."""

STEPS: Mapping[str, str] = {"one in 16, rotate, 2 bits": "0.025"}
"""SCAFFOLD's step beside a codec, where it is not 1."""


def main() -> None:
    options = read_options(__doc__ or "")
    results = results_of(Experiment(settings(options), classified), options)
    print(markdown([_row(algorithm, results) for algorithm in ALGORITHMS]))


def settings(options: Options) -> list[Setting]:
    """Both algorithms with each codec, on data partitioned by Dirichlet(0.5)."""
    return [
        classifier(
            options,
            f"{algorithm} | {codec}",
            {"encode": CODECS[codec], **_train(algorithm, codec)},
            partition="dirichlet:0.5",
        )
        for codec in SHOWN
        for algorithm in ALGORITHMS
    ]


def _row(algorithm: str, results: Mapping[str, list[Result]]) -> dict[str, str]:
    cells = {
        codec: finals(results[f"{algorithm} | {codec}"], "accuracy", scale=100) for codec in SHOWN
    }
    return {"algorithm": algorithm, **cells}


def _train(algorithm: str, codec: str) -> dict[str, Any]:
    if algorithm == "FedAvg":
        return {}
    return {"train": {"kind": "scaffold", "step": STEPS.get(codec, "1")}}


if __name__ == "__main__":
    main()
