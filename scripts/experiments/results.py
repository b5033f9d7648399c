"""The results of runs, and the files that keep them.

A result's file is named after everything that it depends on, including the code. A run is therefore repeated after a
change of the code, and a table never mixes results of two versions.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import chain
import fl_node
from chain.files import write_whole

PACKAGES = (chain, fl_node)
SHARED = ("harness.py", "pictures.py", "results.py", "settings.py")
"""This folder's files on which every run depends."""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one run.

    Attributes:
        name, seed: The setting's name and the run's seed.
        manifest: The manifest's sha256.
        curve: `{"round": r, **figures}` for each measured round. A figure is a number, or a list of numbers.
        up: For each round, the total bytes of the included updates, all of which every attester reads.
        down: For each round, the bytes of the parent model, which each member of the cohort reads.
        senders: For each round, the number of included updates.
        left_out: For each round, the number of updates that were left out as invalid.
        steps: For each round, the optimiser steps of all members together.
        epochs: Passes that a member made over its training data in all rounds, as a mean over the members.
        diverged: The round in which a loss or a weight was no longer finite, which ended the run; None if there was
            none.
        seconds: Wall time.
    """

    name: str
    seed: int
    manifest: str
    curve: list[dict[str, Any]]
    up: list[int]
    down: list[int]
    senders: list[int]
    left_out: list[int]
    steps: list[int]
    epochs: float
    diverged: int | None
    seconds: float

    def final(self, figure: str) -> float | None:
        """A figure after the last round; None if the run diverged or does not have it."""
        return None if self.diverged else self.curve[-1].get(figure)


def result_file(folder: Path, described: Mapping[str, Any], *functions: Callable[..., Any]) -> Path:
    """The file of a run's result.

    Args:
        folder: Where results are kept.
        described: The run's settings, as JSON.
        functions: The experiment's functions that the result depends on. Their names and the files that define them
            are part of the key, as is all code of `PACKAGES`.
    """
    sources = frozenset(Path(inspect.getfile(function)) for function in functions)
    names = [function.__name__ for function in functions]
    key = {**described, "functions": names, "code": _digest_with(sources)}
    text = json.dumps(key, sort_keys=True, default=str)
    return folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"


def write_result(file: Path, result: Result) -> None:
    """Keep a result."""
    write_whole(file, json.dumps(asdict(result)).encode())


def read_result(file: Path, name: str) -> Result:
    """Read a result for a setting of this name. Another experiment may have given the same setting another name."""
    return Result(**{**json.loads(file.read_text()), "name": name})


def code_digest(files: Iterable[Path], folders: Iterable[Path]) -> str:
    """The sha256 over files, and over all Python files in folders."""
    found = {path for folder in folders for path in folder.rglob("*.py")}
    digests = [hashlib.sha256(path.read_bytes()).digest() for path in sorted({*found, *files})]
    return hashlib.sha256(b"".join(digests)).hexdigest()


@lru_cache
def _digest_with(sources: frozenset[Path]) -> str:
    here = Path(__file__).parent
    packages = [Path(inspect.getfile(package)).parent for package in PACKAGES]
    return code_digest({*sources, *(here / name for name in SHARED)}, packages)
