"""Runs of experiments, from settings to measured results.

A run builds a manifest, partitions the data and simulates the rounds with the node's own code, so it gives the same
bytes as the same manifest on a chain. The result of every run is a JSON file; a run whose file exists is not repeated.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pictures import CHANNELS, training_pictures, unseen_pictures
from rich.console import Console

from chain.accounts import to_address
from chain.files import write_whole
from chain.types import Address
from fl_node.arrays import Arrays
from fl_node.blobs.global_state import model_of
from fl_node.blobs.model import decode_model, encode_model
from fl_node.errors import TrainingDiverged
from fl_node.learner import Assignment, Learner, StepProgress, Trained, no_progress
from fl_node.learning.data import Images
from fl_node.learning.kinds import learning_options
from fl_node.learning.task import derive_genesis, make_learner, partitioned
from fl_node.manifest.manifest import Manifest, build_manifest
from fl_node.member.simulation import SimulatedRound, simulate
from fl_node.seeds import derive_seed


@dataclass(frozen=True, slots=True)
class Setting:
    """What differs between runs, besides the seed. A result is reused for a setting that is equal in all but `name`.

    Attributes:
        name: The name in the table.
        rounds: Number of rounds.
        learner: The manifest's section.
        strategy: The manifest's section, or a preset's name.
        data: `digits` or `cifar10`.
        pictures, tests: Number of training and of test pictures that are used; None for all.
        size: Pixels on each side.
        members: Number of members between which the data is partitioned.
        partition: The partition rule, as for `--partition`.
        alone: Index of the only member that trains, on its own part; None if all members train.
        values: Other sections of the manifest, such as `limits`, or fields of `rounds`.
        every: Number of rounds between two measurements; the last round is always measured.
        variant: Used by the experiment's own code, such as the name of an attack.
    """

    name: str
    rounds: int
    learner: Mapping[str, Any]
    strategy: str | Mapping[str, Any] = "fedavg"
    data: str = "digits"
    pictures: int | None = None
    tests: int | None = None
    size: int = 32
    members: int = 10
    partition: str = "iid"
    alone: int | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    every: int = 5
    variant: str = ""

    def manifest(self, seed: int) -> Manifest:
        """The manifest, with invented addresses of members.

        Raises:
            ManifestInvalid: A field is wrong.
        """
        count = self.members if self.alone is None else 1
        values = {"data": {}, **self.values}
        rounds = {"count": self.rounds, "cohort_floor": count, "min_updates": min(2, count)}
        return build_manifest(
            {
                **values,
                "name": "experiment",
                "seed": seed,
                "members": [to_address(f"0x{number:040x}") for number in range(1, count + 1)],
                "data": {"channels": CHANNELS[self.data], "size": self.size, **values["data"]},
                "learner": dict(self.learner),
                "strategy": self.strategy,
                "rounds": {**rounds, **values.get("rounds", {})},
            }
        )


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


Measure = Callable[[Checkpoint], dict[str, float]]
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


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one run.

    Attributes:
        name, seed: The setting's name and the run's seed.
        manifest: The manifest's sha256.
        curve: `{"round": r, **figures}` for each measured round.
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
    curve: list[dict[str, float]]
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

    def measure(self, model: Arrays, private: Arrays | None) -> float:
        """As for the wrapped learner."""
        return self._learner.measure(model, private)


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
    curve: list[dict[str, float]] = []
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
    processes: int = 2,
    device: str | None = "cpu",
) -> dict[str, list[Result]]:
    """Run every setting with every seed in several processes, and keep each result as a file.

    Args:
        experiment: Its settings have distinct names.
        seeds: The manifests' seeds.
        out: Folder for the results; a run whose result is there already is not repeated.
        processes: Number of simultaneous runs, each with one torch thread; 1 runs them in this process.
        device: A torch device name; None for the fastest.

    Returns:
        For each setting's name, one result for each seed, in the order given.
    """
    wanted = [(setting, seed) for setting in experiment.settings for seed in seeds]
    files = {
        (setting.name, seed): out / f"{result_key(experiment, setting, seed)}.json"
        for setting, seed in wanted
    }
    out.mkdir(parents=True, exist_ok=True)
    missing = [
        (setting, seed) for setting, seed in wanted if not files[setting.name, seed].is_file()
    ]
    console = Console(stderr=True)
    console.print(
        f"{len(wanted)} runs, of which {len(wanted) - len(missing)} already have a result"
    )
    for number, result in enumerate(_run(experiment, missing, processes, device), start=1):
        _write(files[result.name, result.seed], result)
        console.print(f"{number}/{len(missing)} {_shown(result)}", highlight=False)
    return {
        setting.name: [_read(files[setting.name, seed], setting.name) for seed in seeds]
        for setting in experiment.settings
    }


def result_key(experiment: Experiment, setting: Setting, seed: int) -> str:
    """The name of a run's result: a digest of everything that it depends on except the code."""
    described = {
        **asdict(setting),
        "name": "",
        "manifest": setting.manifest(seed).to_bytes().decode(),
        "measure": experiment.measure.__name__,
        "wrap": experiment.wrap.__name__ if setting.variant else plain.__name__,
    }
    text = json.dumps(described, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _run(
    experiment: Experiment,
    missing: Sequence[tuple[Setting, int]],
    processes: int,
    device: str | None,
) -> Iterator[Result]:
    if processes == 1:
        for setting, seed in missing:
            yield run_one(setting, seed, experiment.measure, experiment.wrap, device)
        return
    # Spawned, because torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        running = [
            pool.submit(run_one, setting, seed, experiment.measure, experiment.wrap, device)
            for setting, seed in missing
        ]
        for done in as_completed(running):
            yield done.result()


def _write(file: Path, result: Result) -> None:
    write_whole(file, json.dumps(asdict(result)).encode())


def _read(file: Path, name: str) -> Result:
    # Another experiment may have given the same setting another name.
    return Result(**{**json.loads(file.read_text()), "name": name})


def _shown(result: Result) -> str:
    if result.diverged:
        return f"{result.name}, seed {result.seed}: diverged in round {result.diverged}"
    figures = ", ".join(f"{name} {value:.4g}" for name, value in result.curve[-1].items())
    return f"{result.name}, seed {result.seed}: {figures}; {result.seconds:.0f} s"
