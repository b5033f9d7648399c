"""docs/examples/: the Flower apps, unmodified, as three members' learners, in this process and in children."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import pytest

pytest.importorskip("flwr")

from pages import DOCS
from quadratic import same_bits

from fl_node.arrays import Array, Arrays
from fl_node.blobs.model import decode_model
from fl_node.child.learner import ChildLearner
from fl_node.child.setup import Setup
from fl_node.code.requirements import installed
from fl_node.flower.open import build_genesis, open_learner
from fl_node.learner import Assignment, Learner, StepProgress, Trained, no_progress
from fl_node.manifest.code_learners import FlowerLearner
from fl_node.manifest.packing import Draft, read_draft
from fl_node.member.simulation import simulate
from fl_node.round.genesis import genesis_state

pytestmark = pytest.mark.slow


@pytest.fixture(params=["quickstart", "listing"])
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.syspath_prepend(DOCS / "examples" / f"flower-{request.param}")
    forget(request.param)
    yield request.param
    forget(request.param)


def forget(package: str) -> None:
    """Another test of this process may have imported an example of the same name: `listing` is two of them."""
    for module in [key for key in sys.modules if key.partition(".")[0] == package]:
        del sys.modules[module]


def task(name: str) -> tuple[Draft, Setup, Arrays]:
    """A task as its manifest describes it, what a child would be told of it, and the model that it starts from."""
    draft = read_draft(DOCS / "examples" / f"flower-{name}.toml")
    learner = draft.manifest.learner
    assert isinstance(learner, FlowerLearner) and draft.maker
    setup = Setup(
        kind="flower",
        entry=learner.entry,
        genesis=draft.maker,
        knobs=learner.knobs,
        seed=draft.manifest.seed,
        metrics=learner.metrics,
        losses=learner.losses.model_dump(exclude_none=True),
    )
    model = build_genesis(setup)
    return draft.with_model(model), setup, model


@dataclass
class Stating:
    """An opened learner that states versions, as one in a child process does."""

    learner: Learner
    versions: dict[str, str]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.learner, name)

    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        return replace(self.learner.train(assignment, progress), versions=self.versions)


def run(
    draft: Draft, learners: list[Any], model: Arrays, rounds: int
) -> tuple[list[float], list[dict[str, Array]]]:
    """The members' mean held-out loss in each round, and the model after each."""
    manifest = draft.manifest
    by_address = dict(zip(manifest.addresses, learners, strict=True))
    losses, models = [], []
    for one in islice(simulate(manifest, by_address, genesis_state(manifest, model)), rounds):
        assert one.aggregated.left_out == {}
        losses.append(sum(update.reveal.held_out_loss for update in one.reveals) / 3e6)
        models.append(decode_model(one.aggregated.blob))
    return losses, models


def test_an_app_learns_and_a_child_process_gives_the_same_bytes(name: str) -> None:
    draft, setup, model = task(name)
    setups = [replace(setup, index=index, count=3) for index in range(3)]
    versions = installed(draft.manifest.learner.requires)
    here = [Stating(open_learner(setup, model), versions) for setup in setups]
    losses, models = run(draft, here, model, 5)

    assert losses[-1] < losses[0] / 2

    with ChildLearner(setups[0], draft.code, model, timeout=120, versions=versions) as child:
        again, same = run(draft, [child, *here[1:]], model, 2)

    assert again == losses[:2]
    assert same_bits(models[1], same[1])
