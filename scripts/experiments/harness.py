"""Runs of experiments, from settings to measured results.

A run builds a manifest, partitions the data and simulates the rounds with the node's own code, so it gives the same
bytes as the same manifest on a chain. The result of every run is a JSON file; a run whose file exists is not repeated.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pictures import training_pictures, unseen_pictures
from results import Result, read_result, result_file, write_result
from rich.console import Console
from settings import Setting

from chain.types import Address
from fl_node.arrays import Arrays
from fl_node.blobs.global_state import model_of
from fl_node.blobs.model import decode_model, encode_model
from fl_node.errors import TrainingDiverged
from fl_node.learner import Assignment, Learner, StepProgress, Trained, no_progress
from fl_node.learning.data import Images
from fl_node.learning.kinds import learning_options
from fl_node.learning.task import derive_genesis, make_learner, partitioned
from fl_node.manifest.manifest import Manifest
from fl_node.member.simulation import SimulatedRound, simulate
from fl_node.seeds import derive_seed


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a run after a round, for measurements.

    Attributes:
        setting: The run's setting.
        manifest: The run's manifest.
        round: The round that has ended, from 1.
        model: The global model after the round: the shared tensors.
        trained: Each member's last training; with Ditto, the training of the personal model.
        parts: Each member's pictures, including those that it holds out.
        test: The test split.
        device: A torch device name; None for the fastest.
    """

    setting: Setting
    manifest: Manifest
    round: int
    model: Arrays
    trained: Mapping[Address, Trained]
    parts: Mapping[Address, Images]
    test: Images
    device: str | None


Measure = Callable[[Checkpoint], dict[str, Any]]
"""Gives the figures for a result's curve. Must be a module's function, so that other processes can import it."""

Wrap = Callable[[Setting, int, Learner], Learner]
"""(setting, a member's index, its learner) -> the learner to use, such as one that attacks."""


def plain(setting: Setting, index: int, learner: Learner) -> Learner:
    """Keep the learner unchanged."""
    return learner


@dataclass(frozen=True, slots=True)
class Experiment:
    """Settings, and the functions that they share."""

    settings: Sequence[Setting]
    measure: Measure
    wrap: Wrap = plain


class Watched:
    """A learner that counts the steps of another one and keeps its last result."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self.steps, self.epochs = 0, 0.0
        self.last: Trained | None = None

    def steps_for(self, epochs: int) -> int:
        """As for the wrapped learner."""
        return self._learner.steps_for(epochs)

    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        """As for the wrapped learner."""
        self.last = self._learner.train(assignment, progress)
        self.steps += self.last.steps
        self.epochs += self.last.steps / self._learner.steps_for(1)
        return self.last

    def measure(self, model: Arrays, private: Arrays | None, training: bool = False) -> float:
        """As for the wrapped learner."""
        return self._learner.measure(model, private, training)


def run_one(
    setting: Setting, seed: int, measure: Measure, wrap: Wrap, device: str | None = "cpu"
) -> Result:
    """Simulate a run with one torch thread, and measure it.

    Raises:
        ManifestInvalid: The setting gives no valid manifest.
        DataUnusable: The data is missing, or cannot be partitioned in this way.
    """
    start = time.perf_counter()
    manifest = setting.manifest(seed)
    parts = parts_of(setting, manifest)
    learners = {
        member: Watched(wrap(setting, index, make_learner(manifest, part, device, 1)))
        for index, (member, part) in enumerate(parts.items())
    }
    test = unseen_pictures(setting.data, learning_options(manifest), setting.tests)
    genesis = derive_genesis(manifest)
    rounds: list[SimulatedRound] = []
    curve: list[dict[str, Any]] = []
    steps: list[int] = []
    diverged = None
    try:
        for done in simulate(manifest, learners, genesis):
            rounds.append(done)
            steps.append(sum(learner.steps for learner in learners.values()) - sum(steps))
            if done.round % setting.every == 0 or done.round == setting.rounds:
                model = model_of(decode_model(done.aggregated.blob))
                trained = {
                    member: learner.last for member, learner in learners.items() if learner.last
                }
                checkpoint = Checkpoint(
                    setting, manifest, done.round, model, trained, parts, test, device
                )
                curve.append({"round": done.round, **measure(checkpoint)})
    except TrainingDiverged:
        diverged = len(rounds) + 1
    results = [done.aggregated for done in rounds]
    models = [aggregated.blob for aggregated in results]
    return Result(
        name=setting.name,
        seed=seed,
        manifest=hashlib.sha256(manifest.to_bytes()).hexdigest(),
        curve=curve,
        up=[aggregated.blob_bytes - len(aggregated.blob) for aggregated in results],
        down=[len(model) for model in [encode_model(genesis), *models]][:-1],
        senders=[aggregated.included.bit_count() for aggregated in results],
        left_out=[len(aggregated.left_out) for aggregated in results],
        steps=steps,
        epochs=sum(learner.epochs for learner in learners.values()) / len(learners),
        diverged=diverged,
        seconds=round(time.perf_counter() - start, 2),
    )


def parts_of(setting: Setting, manifest: Manifest) -> dict[Address, Images]:
    """Each member's pictures. The same setting and seed give the same parts.

    Raises:
        DataUnusable: The data is missing, or cannot be partitioned in this way.
    """
    images = training_pictures(setting.data, learning_options(manifest), setting.pictures)
    seed = derive_seed(manifest.seed, "partition")
    parts = partitioned(images, setting.partition, setting.members, seed)
    if setting.alone is not None:
        parts = [parts[setting.alone]]
    return dict(zip(manifest.addresses, parts, strict=True))


def run_all(
    experiment: Experiment,
    seeds: Sequence[int],
    out: Path,
    executor: Executor,
    device: str | None = "cpu",
) -> dict[str, list[Result]]:
    """Run every setting with every seed, and keep each result as a file.

    Args:
        experiment: Its settings have distinct names.
        seeds: The manifests' seeds.
        out: Folder for the results; a run whose result is there already is not repeated.
        executor: Does the runs, each with one torch thread: processes, threads, or machines elsewhere.
        device: A torch device name; None for the fastest.

    Returns:
        For each setting's name, one result for each seed, in the order given.
    """
    wanted = [(setting, seed) for setting in experiment.settings for seed in seeds]
    files = {
        (setting.name, seed): file_of(experiment, setting, seed, out) for setting, seed in wanted
    }
    out.mkdir(parents=True, exist_ok=True)
    missing = [
        (setting, seed) for setting, seed in wanted if not files[setting.name, seed].is_file()
    ]
    console = Console(stderr=True)
    console.print(
        f"{len(wanted)} runs, of which {len(wanted) - len(missing)} already have a result"
    )
    running = [
        executor.submit(run_one, setting, seed, experiment.measure, experiment.wrap, device)
        for setting, seed in missing
    ]
    for number, done in enumerate(as_completed(running), start=1):
        result = done.result()
        write_result(files[result.name, result.seed], result)
        console.print(f"{number}/{len(missing)} {_shown(result)}", highlight=False)
    return {
        setting.name: [read_result(files[setting.name, seed], setting.name) for seed in seeds]
        for setting in experiment.settings
    }


def file_of(experiment: Experiment, setting: Setting, seed: int, out: Path) -> Path:
    """The file of a run's result, named after everything that the result depends on."""
    manifest = setting.manifest(seed).to_bytes().decode()
    wrap = experiment.wrap if setting.variant else plain
    described = {**asdict(setting), "name": "", "manifest": manifest}
    return result_file(out, described, experiment.measure, wrap)


def _shown(result: Result) -> str:
    if result.diverged:
        return f"{result.name}, seed {result.seed}: diverged in round {result.diverged}"
    numbers = {name: at for name, at in result.curve[-1].items() if not isinstance(at, list)}
    figures = ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())
    return f"{result.name}, seed {result.seed}: {figures}; {result.seconds:.0f} s"
