"""A user's own model, opened from a setup: what it learns, what it keeps, and that it repeats itself."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fl_node.blobs.tensors import decode_tensors, encode_tensors
from fl_node.child.setup import Setup
from fl_node.errors import TrainingFailed
from fl_node.learner import Assignment
from fl_node.learning.own import build_genesis, open_learner

PRICES = Setup(kind="module", entry="own_models:Prices", seed=3, data="1", batch=16)
RING = Setup(kind="module", entry="own_models:Ring", seed=3, data="1", batch=16)
BOTH = pytest.mark.parametrize("setup", [PRICES, RING], ids=["regression", "gan"])


def train(setup: Setup, steps: int = 5, private: Any = None, seed: int = 1, **terms: Any) -> Any:
    genesis = build_genesis(setup)
    return open_learner(setup, genesis).train(Assignment(genesis, private, seed, steps, **terms))


def assert_same_bytes(first: Any, second: Any) -> None:
    assert first.keys() == second.keys()
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)


@BOTH
def test_it_learns(setup: Setup) -> None:
    genesis = build_genesis(setup)
    learner = open_learner(setup, genesis)
    before = learner.measure(genesis, None)
    trained = learner.train(Assignment(genesis, None, 1, 120))
    after = learner.measure(trained.shared, trained.private)
    assert after.loss < before.loss / 2
    assert after.metrics.keys() == ({"error"} if setup is PRICES else {"loss", "radius"})


@BOTH
def test_the_same_input_gives_the_same_bytes(setup: Setup) -> None:
    assert_same_bytes(build_genesis(setup), build_genesis(setup))
    first, second = train(setup), train(setup)
    assert_same_bytes(first.shared, second.shared)
    assert_same_bytes(first.private, second.private)
    assert first.training_loss == second.training_loss


@BOTH
def test_a_learner_that_moves_to_another_process_trains_as_here(setup: Setup) -> None:
    genesis = build_genesis(setup)
    learner = open_learner(setup, genesis)
    moved = pickle.loads(pickle.dumps(learner))
    first, second = (one.train(Assignment(genesis, None, 1, 5)) for one in (learner, moved))
    assert_same_bytes(first.shared, second.shared)
    assert_same_bytes(first.private, second.private)


@BOTH
def test_another_seed_trains_another_model(setup: Setup) -> None:
    first, second = train(setup).shared, train(setup, seed=2).shared
    assert any(first[name].tobytes() != second[name].tobytes() for name in first)


@BOTH
def test_a_restart_from_stored_state_equals_going_on(setup: Setup) -> None:
    first = train(setup)
    stored, _ = decode_tensors(encode_tensors(first.private))
    following = Assignment(first.shared, first.private, 2, 5)
    learner = open_learner(setup, build_genesis(setup))
    going_on = learner.train(following)
    restarted = learner.train(replace(following, private=stored))
    assert_same_bytes(going_on.shared, restarted.shared)
    assert_same_bytes(going_on.private, restarted.private)


def test_the_process_s_random_numbers_are_neither_read_nor_changed() -> None:
    np.random.seed(0)
    before = np.random.get_state()[1].tolist()
    first = train(RING)
    assert np.random.get_state()[1].tolist() == before
    np.random.seed(1)
    assert_same_bytes(first.shared, train(RING).shared)


def test_data_that_are_streamed_train_to_the_same_bytes_as_data_in_memory() -> None:
    streamed = replace(PRICES, entry="own_models:Streamed")
    first, second = train(PRICES, 20), train(streamed, 20)
    assert_same_bytes(first.shared, second.shared)
    genesis = build_genesis(PRICES)
    losses = [open_learner(one, genesis).measure(genesis, None) for one in (PRICES, streamed)]
    assert losses[0] == losses[1]


def test_a_dataset_that_cannot_be_read_costs_the_round() -> None:
    with pytest.raises(TrainingFailed, match=r"data\(\)'s dataset raised OSError: row 149 cannot"):
        train(replace(PRICES, entry="own_models:Streamed", data="broken 1"), 40)
