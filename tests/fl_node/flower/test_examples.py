"""docs/examples/: the Flower apps, unmodified, train as learners of three members and repeat bit for bit."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("flwr")

from pages import DOCS
from quadratic import same_bits

from fl_node.arrays import Array, Arrays
from fl_node.child.setup import Setup
from fl_node.flower.app import parse_project
from fl_node.flower.open import build_genesis, open_learner
from fl_node.learner import Assignment, Learner

pytestmark = pytest.mark.slow

APPS = {
    "quickstart": Setup(
        kind="flower",
        entry="quickstart.client_app:app",
        genesis="quickstart.task:Net",
        knobs={"lr": "0.05"},
        seed=1,
        metrics=("eval_acc",),
        losses={"training": "train_loss", "held_out": "eval_loss"},
    ),
    "listing": Setup(
        kind="flower",
        entry="listing.client_app:app",
        genesis="listing.model:Generator",
        seed=1,
        metrics=("energy_distance",),
        losses={"training": "gen_loss", "held_out": "energy_distance"},
    ),
}


def folder(name: str) -> Path:
    return DOCS / "examples" / f"flower-{name}"


@pytest.fixture(params=APPS)
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.syspath_prepend(folder(request.param))
    yield request.param
    for module in [key for key in sys.modules if key.partition(".")[0] == request.param]:
        del sys.modules[module]


def members(setup: Setup, genesis: Arrays) -> list[Learner]:
    return [open_learner(replace(setup, index=i, count=3), genesis) for i in range(3)]


def federate(setup: Setup, rounds: int) -> tuple[list[dict[str, Array]], list[float]]:
    """Rounds of a plain mean.

    Returns:
        The model after each round, and the members' mean held-out loss before each.
    """
    model: dict[str, Array] = build_genesis(setup)
    privates: list[Any] = [None] * 3
    models, losses = [], []
    for number in range(1, rounds + 1):
        learners = members(setup, model)  # As if every node had been started anew.
        losses.append(np.mean([one.measure(model, None).loss for one in learners]))
        done = [one.train(Assignment(model, privates[i], seed=10 * number + i, steps=1, round=number))
                for i, one in enumerate(learners)]  # fmt: skip
        privates = [trained.private for trained in done]
        model = {
            tensor: np.asarray(np.mean([t.shared[tensor] for t in done], axis=0), array.dtype)
            for tensor, array in model.items()
        }
        models.append(model)
    return models, [float(loss) for loss in losses]


def test_an_app_learns_and_repeats_itself(name: str) -> None:
    models, losses = federate(APPS[name], 6)
    again, _ = federate(APPS[name], 2)

    assert losses[-1] < losses[0] / 2
    assert same_bits(models[1], again[1])
    if name == "quickstart":
        last = members(APPS[name], models[-1])[0].measure(models[-1], None)
        assert last.metrics["eval_acc"] > 0.8


def test_a_folder_names_the_entry(name: str) -> None:
    project = parse_project((folder(name) / "pyproject.toml").read_text())

    assert project.client_app == APPS[name].entry
