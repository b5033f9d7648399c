"""E4: traffic against quality, for every codec, some chains of codecs, and members that send or train less.

    uv run scripts/experiments/codecs_quality.py

Each member uploads its update. It downloads the model that it starts from, which no codec shrinks, and, if it attests,
the updates of all members.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from classifiers import classifier
from classifying import classified
from harness import Experiment
from reporting import Options, finals, markdown, mean_and_spread, read_options, results_of
from results import Result
from settings import Setting

NOTHING = "float32"
"""The row with which the others are compared."""

SHARE_OF_BEST = 0.95
"""The share of float32's final accuracy that counts as good in the second table."""


def _chain(*stages: Mapping[str, Any], feedback: int | str = 0) -> dict[str, Any]:
    return {"stages": list(stages), "feedback": feedback}


def _bits(bits: int, spread: str = "range") -> dict[str, Any]:
    return {"kind": "quantise", "bits": bits, "spread": spread}


def _top(fraction: str) -> dict[str, Any]:
    return {"kind": "top_k", "fraction": fraction}


ROTATE = {"kind": "rotate"}
RANK = {"kind": "low_rank", "rank": 4}
ONE_IN_16 = {"kind": "subsample", "one_in": 16}
ONE_IN_20_UNSCALED = {"kind": "subsample", "one_in": 20, "scaled": False}

CODECS: Mapping[str, Mapping[str, Any]] = {
    NOTHING: {},
    "QSGD, 8 bits": _chain(_bits(8, "norm")),
    "QSGD, 4 bits": _chain(_bits(4, "norm")),
    "QSGD, 2 bits": _chain(_bits(2, "norm")),
    "rotate, 2 bits": _chain(ROTATE, _bits(2)),
    "one in 16": _chain(ONE_IN_16),
    "top 1 %": _chain(_top("0.01")),
    "top 1 %, feedback": _chain(_top("0.01"), feedback=1),
    "rank 4": _chain(RANK),
    "rank 4, feedback": _chain(RANK, feedback=1),
    "eSGD, 12.5 %": _chain({"kind": "esgd", "fraction": "0.125"}, feedback="0.9"),
    "one in 16, rotate, 2 bits": _chain(ONE_IN_16, ROTATE, _bits(2)),
    "one in 20, rotate, 4 bits, feedback": _chain(ONE_IN_20_UNSCALED, ROTATE, _bits(4), feedback=1),
    "top 1 %, 8 bits, feedback": _chain(_top("0.01"), _bits(8), feedback=1),
    "rank 4, top 10 %, 8 bits, feedback": _chain(RANK, _top("0.1"), _bits(8), feedback=1),
}
"""The codecs, by their names in the table: `strategy.encode` of a manifest."""


def _relevance(threshold: str, **knobs: str) -> dict[str, Any]:
    return {"send": {"kind": "relevance", "threshold": threshold, **knobs}}


SPARING: Mapping[str, Mapping[str, Any]] = {
    "CMFL, 0.8": _relevance("0.8"),
    "CMFL, 0.8 / sqrt(t)": _relevance("0.8", decay="sqrt"),
    "CMFL, 0.6": _relevance("0.6"),
    "CMFL, 0.5": _relevance("0.5"),
    "LoAdaBoost": {"work": {"until": "median_loss"}},
}
"""Members that send less often, and members that train as much as they need: `strategy` of a manifest."""


def main() -> None:
    options = read_options(__doc__ or "")
    results = results_of(Experiment(settings(options), classified), options)
    baseline = results[NOTHING]
    print(markdown([codec_row(name, results[name], baseline) for name in CODECS]))
    print(f"\nThe model: {baseline[0].down[0] / 1000:.1f} KB.\n")
    rows = (NOTHING, *SPARING)
    print(markdown([sparing_row(name, results[name], baseline) for name in rows]))


def settings(options: Options) -> list[Setting]:
    """Each codec, and each way to send or train less, on data partitioned by Dirichlet(0.5)."""
    codecs = {name: {"encode": encode} for name, encode in CODECS.items()}
    strategies = codecs | dict(SPARING)
    return [_setting(options, name, strategy) for name, strategy in strategies.items()]


def _setting(options: Options, name: str, strategy: Mapping[str, Any]) -> Setting:
    fields = {"partition": "dirichlet:0.5", "values": {"rounds": {"min_updates": 1}}, "every": 1}
    if options.size == "large":
        return classifier(options, name, strategy, **fields)
    # In a narrower model, names and headers would outweigh the numbers. Error feedback needs rounds more than epochs.
    work = {"epochs": 1, **strategy.get("work", {})}
    setting = classifier(options, name, {**strategy, "work": work}, **fields)
    return replace(setting, learner={**setting.learner, "width": 32, "batch": 16})


def codec_row(name: str, results: Sequence[Result], baseline: Sequence[Result]) -> dict[str, str]:
    """What a codec costs and saves; the loss of accuracy is computed for each seed."""
    update, plain = _update_bytes(results[0]), _update_bytes(baseline[0])
    return {
        "codec": name,
        "update, KB": f"{update / 1000:.1f}",
        "smaller": f"{plain / update:.1f} x",
        "an attester reads, KB": f"{sum(results[0].up) / len(results[0].up) / 1000:.0f}",
        "accuracy, %": finals(results, "accuracy", scale=100),
        "points below float32": _below(results, baseline),
    }


def sparing_row(name: str, results: Sequence[Result], baseline: Sequence[Result]) -> dict[str, str]:
    """The total number of updates and steps, and the numbers until a good accuracy is reached."""
    good = [SHARE_OF_BEST * (result.final("accuracy") or 0) for result in baseline]
    reached = [_first(result, level) for result, level in zip(results, good, strict=True)]
    pairs = list(zip(results, reached, strict=True))
    return {
        "strategy": name,
        "accuracy, %": finals(results, "accuracy", scale=100),
        "updates": mean_and_spread([sum(result.senders) for result in results], 0),
        "epochs": mean_and_spread([result.epochs for result in results]),
        "rounds until good": _until([end and float(end) for end in reached], 1),
        "updates until good": _until([end and sum(run.senders[:end]) for run, end in pairs], 0),
        "steps until good": _until([end and sum(run.steps[:end]) for run, end in pairs], 0),
    }


def _update_bytes(result: Result) -> float:
    return sum(result.up) / sum(result.senders)


def _below(results: Sequence[Result], baseline: Sequence[Result]) -> str:
    pairs = zip(results, baseline, strict=True)
    drops = [_drop(run.final("accuracy"), full.final("accuracy")) for run, full in pairs]
    return mean_and_spread(drops, scale=100)


def _drop(accuracy: float | None, full: float | None) -> float | None:
    return None if accuracy is None or full is None else full - accuracy


def _first(result: Result, level: float) -> int | None:
    """The first measured round with at least this accuracy; None if there is none."""
    rounds = [int(at["round"]) for at in result.curve if at["accuracy"] >= level]
    return rounds[0] if rounds else None


def _until(values: Sequence[float | None], digits: int) -> str:
    missed = sum(value is None for value in values)
    return f"not, {missed} of {len(values)}" if missed else mean_and_spread(values, digits)


if __name__ == "__main__":
    main()
