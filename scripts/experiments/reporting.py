"""What the experiments' scripts share: their options, and tables of means and standard deviations."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import pkgutil
import statistics
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from harness import Experiment, run_all
from pictures import CIFAR10_VARIABLE
from results import Result


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the command line; see `read_options`."""

    seeds: tuple[int, ...]
    processes: int
    out: Path
    size: str
    data: str
    device: str | None
    json: bool
    only: tuple[str, ...] = ()
    executor: str | None = None


def read_options(doc: str, seeds: str = "1,2,3") -> Options:
    """Read the command line, which is the same for all experiments.

    Args:
        doc: The script's docstring.
        seeds: The default of `--seeds`.
    """
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    parser.add_argument("--seeds", default=seeds, help="each setting runs once with each seed")
    parser.add_argument(
        "--processes", type=int, default=2, help="simultaneous runs, with one thread each"
    )
    parser.add_argument(
        "--executor",
        metavar="MODULE:FUNCTION",
        help="gives a concurrent.futures.Executor that does the runs, in place of processes on this machine",
    )
    parser.add_argument(
        "--only",
        metavar="TEXT",
        action="append",
        default=[],
        help="do only the runs whose setting's name contains this, keep their results, and print no table "
        "(the GAN's has the rows that were asked for); may be given several times",
    )
    parser.add_argument("--out", type=Path, default=Path("experiments-results"))
    parser.add_argument("--size", choices=("small", "large"), default="small")
    parser.add_argument("--data", default="digits", help="digits, cifar10, or cifar10:PATH")
    parser.add_argument("--device", default="cpu", help="such as cuda; auto chooses the fastest")
    parser.add_argument("--json", action="store_true", help="also print every result as JSON")
    given = parser.parse_args()
    data, _, folder = given.data.partition(":")
    if folder:
        os.environ[CIFAR10_VARIABLE] = folder  # inherited by the runs' processes
    return Options(
        seeds=tuple(int(seed) for seed in given.seeds.split(",")),
        processes=given.processes,
        out=given.out,
        size=given.size,
        data=data,
        device=None if given.device == "auto" else given.device,
        json=given.json,
        only=tuple(given.only),
        executor=given.executor,
    )


def results_of(
    experiment: Experiment, options: Options, some_rows: bool = False
) -> dict[str, list[Result]]:
    """Do those runs of an experiment that have no result yet, and give all results.

    Args:
        experiment: Its settings have distinct names.
        options: Which of the settings to run, with which seeds, and where.
        some_rows: Whether the experiment's table can do without some of the settings.

    Raises:
        SystemExit: Only some of the settings were to be run, and the table needs all.
    """
    chosen = [setting for setting in experiment.settings if _wanted(setting.name, options)]
    with executor_of(options) as executor:
        results = run_all(
            replace(experiment, settings=chosen),
            options.seeds,
            options.out,
            executor,
            options.device,
        )
    if options.json:
        print(json.dumps([asdict(run) for runs in results.values() for run in runs]))
    if options.only and not some_rows:
        sys.exit(0)
    return results


def _wanted(name: str, options: Options) -> bool:
    return not options.only or any(text in name for text in options.only)


def executor_of(options: Options) -> Executor:
    """The executor that the options name, or processes on this machine."""
    if options.executor:
        return pkgutil.resolve_name(options.executor)()
    # Spawned, because torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(options.processes, mp_context=context)


def mean_and_spread(values: Sequence[float | None], digits: int = 1, scale: float = 1) -> str:
    """Mean ± standard deviation over the seeds (with divisor n - 1), or how many runs diverged.

    Args:
        values: One for each seed; None if its run diverged.
        digits: Digits after the decimal point.
        scale: Multiplies the values, such as 100 for percent.
    """
    there = [value * scale for value in values if value is not None]
    if len(there) < len(values):
        return f"diverged, {len(values) - len(there)} of {len(values)}"
    if len(there) == 1:
        return f"{there[0]:.{digits}f}"
    return f"{statistics.mean(there):.{digits}f} ± {statistics.stdev(there):.{digits}f}"


def finals(results: Sequence[Result], figure: str, digits: int = 1, scale: float = 1) -> str:
    """Mean ± standard deviation of a figure after the last round; a dash if the setting does not have it."""
    if any(not run.diverged and figure not in run.curve[-1] for run in results):
        return "-"
    return mean_and_spread([run.final(figure) for run in results], digits, scale)


def markdown(rows: Sequence[Mapping[str, str]]) -> str:
    """A Markdown table, whose columns are the keys of the first row."""
    columns = list(rows[0])
    lines = [columns, ["---"] * len(columns), *([row[name] for name in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
