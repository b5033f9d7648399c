"""`ganchor` without torch: the real commands with a light learner, in processes that start at once.

What stands in for `fl_node.learning` is a double of its two doors; everything else is what a member runs. Processes are
forked from one that has imported the commands already: they have a number, a log, and can be stopped, starved and
killed like others.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from fl_node.arrays import Arrays
from fl_node.learner import Assignment, Measured, StepProgress, Trained, no_progress
from fl_node.manifest.manifest import Manifest

IMPORTED = ["fl_node.cli.node", "fl_node.cli.audit", "fl_node.cli.status", "fl_node.cli.task"]
SIZE = "numbers"
"""In a task's name `12 numbers`: how many numbers its model has."""


@dataclass
class LightLearner:
    """Adds what depends on the model, the seed and the member's part of the data; and takes its time.

    Attributes:
        part: The member's part of the data.
        seconds: How long a round's training takes.
        keeps: Whether what it adds depends on how often this node has trained, which is lost with the state folder.
        gate: A file; the n-th training goes on until it has n bytes. None: no training waits.
    """

    part: int
    seconds: float
    keeps: bool = True
    gate: Path | None = None

    def steps_for(self, epochs: int) -> int:
        return epochs

    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        trained = 1 + (0 if assignment.private is None else int(assignment.private["trained"][0]))
        progress(0, assignment.steps, {})
        time.sleep(self.seconds)
        while self.gate is not None and self.gate.stat().st_size < trained:
            time.sleep(0.05)
        random = np.random.default_rng([assignment.seed, self.part, trained * self.keeps])
        moved = {
            name: array + 0.01 * random.standard_normal(array.shape, dtype=np.float32)
            for name, array in assignment.model.items()
        }
        private = {"trained": np.array([trained])}
        return Trained(moved, private, 10 + self.part, assignment.steps, 1.0)

    def measure(self, model: Arrays, private: Arrays | None, training: bool = False) -> Measured:
        return Measured(1.0)


def derive_genesis(manifest: Manifest) -> dict[str, Any]:
    """As many zeros as the task's name says."""
    count, _, word = manifest.name.partition(" ")
    assert word == SIZE, manifest.name
    return {"generator.weight": np.zeros(int(count), np.float32)}


def light_learner(text: str, part: int) -> LightLearner:
    """A learner as the text of `--data` says: the seconds that it trains, and perhaps `forgets`; or `until FILE`."""
    if text.startswith("until "):
        return LightLearner(part, 0.0, gate=Path(text.removeprefix("until ")))
    seconds, _, forgets = text.partition(" ")
    return LightLearner(part, float(seconds), not forgets)


def replace_torch() -> None:
    """Put the doubles where the commands import `fl_node.learning.task` and `.device` from."""
    task, device = ModuleType("fl_node.learning.task"), ModuleType("fl_node.learning.device")
    task.__dict__.update(
        derive_genesis=derive_genesis,
        load_data=lambda manifest, data: data,
        part_of=lambda manifest, data, rule, index, count: (data, index),
        make_learner=lambda manifest, part, device, threads, store: light_learner(*part),
    )
    device.__dict__.update(idling=lambda name: time.sleep)
    learning = ModuleType("fl_node.learning")
    learning.__dict__.update(task=task, device=device)
    for module in (learning, task, device):
        sys.modules[module.__name__] = module


Prepare = Callable[[], None]


def _run(words: tuple[str, ...], env: Mapping[str, str], log: str, prepare: Prepare | None) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(env)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    if prepare is not None:
        prepare()
    replace_torch()
    from fl_node.cli.app import main

    main(words)


def start(
    *words: object, env: Mapping[str, str], log: Path, prepare: Prepare | None = None
) -> BaseProcess:
    """Start `ganchor` with these words; both its outputs go into a file."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    spoken = tuple(str(word) for word in words)
    process = context.Process(target=_run, args=(spoken, dict(env), str(log), prepare), daemon=True)
    process.start()
    return process
