"""Statistics and averages as a way in: negative variances, hostile statistics, absurd steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from doubles import small_manifest

from chain.types import Address, Reveal, UpdateRevealed
from fl_node.arrays import Arrays
from fl_node.blobs.encoding import UpdateHeader, encode_update, encoding_seed
from fl_node.blobs.global_state import first_state
from fl_node.blobs.model import decode_model, encode_model, load_model
from fl_node.blobs.store import open_store
from fl_node.errors import UpdateInvalid
from fl_node.manifest.manifest import Manifest
from fl_node.round.aggregate import Aggregated, aggregate_round

VARIANCE, WEIGHT = "generator.norm.running_var", "generator.weight"
MODEL = {
    "generator.norm.running_var": np.ones(2, np.float32),
    "generator.weight": np.zeros(2, np.float32),
    "generator_ema.norm.running_var": np.ones(2, np.float32),
    "generator_ema.weight": np.zeros(2, np.float32),
}


def manifest_of(**strategy: Any) -> Manifest:
    return small_manifest(learner={"kind": "gan", "norm": "batch"}, strategy=strategy)


class Task:
    """Rounds of a task whose members send what a test gives them."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.store, self.manifest, self.round = open_store(folder), manifest, 0
        self.state: Arrays = first_state(
            MODEL, manifest.strategy.slots, manifest.roles.only("weight", MODEL)
        )

    def run(self, *sent: Arrays, steps: tuple[int, ...] = (5, 5, 5)) -> Aggregated:
        """One round, in which the members send these differences in turn."""
        self.round += 1
        digest = self.store.put(encode_model(self.state))
        clients = self.manifest.addresses
        reveals = [
            self._revealed(client, digest, arrays, count)
            for client, arrays, count in zip(clients, sent, steps, strict=False)
        ]
        parent = load_model(self.store, digest, 1 << 20)
        aggregated = aggregate_round(self.store, self.manifest, parent, reveals)
        self.state = decode_model(aggregated.blob)
        return aggregated

    def _revealed(
        self, client: Address, parent: bytes, arrays: Arrays, steps: int
    ) -> UpdateRevealed:
        seed = encoding_seed(self.manifest.seed, self.round, client)
        header = UpdateHeader(1, self.round, client, parent, 10, steps, "float32", seed)
        digest = self.store.put(encode_update(header, arrays))
        return UpdateRevealed(1, self.round, client, Reveal(digest, 10, 0, 0, bytes(32)))


def sends(variance: float, weight: float = 0.0) -> dict[str, np.ndarray[Any, Any]]:
    return {
        VARIANCE: np.full(2, variance, np.float32),
        WEIGHT: np.array([weight, variance], np.float32),  # no two updates have the same content
    }


def test_a_momentum_that_would_carry_a_variance_below_zero_does_not_touch_it(tmp_path):
    """Honest members: the variance falls from 1 by 0.3 a round, and then stays. A momentum of 0.9 would overshoot."""
    task = Task(tmp_path, manifest_of(combine="momentum"))
    variances = []
    for number in range(6):
        move = -0.3 if number < 3 else 0.0
        task.run(sends(move, 1.0), sends(move, 2.0))
        variances.append(float(task.state[VARIANCE][0]))
    assert variances == pytest.approx([0.7, 0.4, 0.1, 0.1, 0.1, 0.1])


@pytest.mark.parametrize("rule", ["weighted_mean", "momentum", "adam", "fednova", "median"])
def test_hostile_statistics_within_the_limits_cannot_make_a_variance_negative(tmp_path, rule):
    rounds = {"count": 2, "min_updates": 3, "cohort_floor": 3}
    manifest = small_manifest(
        learner={"kind": "gan", "norm": "batch"}, strategy={"combine": rule}, rounds=rounds
    )
    task = Task(tmp_path, manifest)
    for _ in range(3):
        aggregated = task.run(sends(-100.0, 1.0), sends(-80.0, 2.0), sends(0.0, 3.0))
        assert aggregated.included == 0b111
        for name in (VARIANCE, "generator_ema.norm.running_var"):
            assert np.all(task.state[name] >= 0)
            assert np.all(np.isfinite(task.state[name]))


def test_statistics_count_towards_the_norm_and_must_be_finite(tmp_path):
    task = Task(tmp_path, manifest_of())
    left_out = task.run(sends(2000.0), sends(np.nan, 1.0), sends(0.1, 2.0)).left_out
    rules = [fault.rule for fault in left_out.values() if isinstance(fault, UpdateInvalid)]
    assert rules == ["norm_limit", "finite"]


def test_an_average_cannot_be_sent(tmp_path):
    """A member cannot replace the generator that everyone draws with: its update is left out."""
    task = Task(tmp_path, manifest_of())
    hostile = {**sends(0.0), "generator_ema.weight": np.full(2, 9, np.float32)}
    assert task.run(hostile, sends(0.1), sends(0.2)).included == 0b110
    assert np.all(np.abs(task.state["generator_ema.weight"]) < 1)


def test_absurd_steps_move_the_average_to_the_model_and_no_further(tmp_path):
    task = Task(tmp_path, manifest_of())
    task.run(sends(0.5, 1.0), sends(0.5, 2.0), steps=(1_000_000, 5))
    for name in (VARIANCE, WEIGHT):
        average = task.state[name.replace("generator.", "generator_ema.")]
        assert average.tolist() == task.state[name].tolist()


def test_without_a_valid_update_nothing_changes(tmp_path):
    task = Task(tmp_path, manifest_of(combine="adam"))
    before = encode_model(task.state)
    assert task.run(sends(np.nan), sends(np.inf)).blob == before


def test_an_average_moves_by_half_of_the_way_in_a_half_life(tmp_path):
    task = Task(tmp_path, manifest_of())
    task.run(sends(0.0, 1.0), sends(0.5, 3.0), steps=(100, 300))
    assert task.state[WEIGHT].tolist() == [2.0, 0.25]
    assert task.state["generator_ema.weight"].tolist() == [1.0, 0.125]
