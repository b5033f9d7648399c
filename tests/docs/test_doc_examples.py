"""docs/examples/: models of one's own, each a manifest and a file that a stranger could have written, train."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pages import DOCS

from fl_node.arrays import Array, Arrays
from fl_node.blobs.model import decode_model
from fl_node.child.setup import Setup
from fl_node.learner import Assignment, Trained
from fl_node.learning.learner import MemberLearner
from fl_node.learning.own import build_genesis, open_learner
from fl_node.manifest.code_learners import ModuleLearner
from fl_node.manifest.manifest import Manifest
from fl_node.manifest.packing import read_draft
from fl_node.strategy.sharing import shared_names

EXAMPLES = DOCS / "examples"
PAGE = (DOCS / "own-model.md").read_text()
FILES = sorted(EXAMPLES.glob("*/task.toml"))


@dataclass(frozen=True)
class Example:
    """A manifest's three members, as its file has them."""

    manifest: Manifest
    learner: ModuleLearner
    first: Arrays
    learners: tuple[MemberLearner, ...]

    @property
    def shared(self) -> dict[str, Array]:
        names = shared_names(self.first, self.manifest.strategy.share.average)
        return {name: array for name, array in self.first.items() if name in names}

    def train(self, rounds: int, steps: int | None = None) -> list[list[Trained]]:
        """What the members trained, round by round; the model of a round is their plain mean.

        Args:
            rounds: Their number.
            steps: Of each member in a round; None takes the manifest's.
        """
        model, private = self.shared, [None, None, None]
        history = []
        for number in range(1, rounds + 1):
            done = [
                learner.train(Assignment(model, kept, 1, steps or self._steps(learner), number))
                for learner, kept in zip(self.learners, private, strict=True)
            ]
            private = [trained.private for trained in done]
            model = {name: _mean([one.shared[name] for one in done]) for name in model}
            history.append(done)
        return history

    def measured(self, history: list[list[Trained]]) -> dict[str, float]:
        """The members' means of what they measure of the last model: the loss, and each metric by its name."""
        model = {name: _mean([one.shared[name] for one in history[-1]]) for name in self.shared}
        measured = [
            learner.measure(model, trained.private)
            for learner, trained in zip(self.learners, history[-1], strict=True)
        ]
        names = self.learner.metrics
        means = {name: np.mean([one.metrics[name] for one in measured]) for name in names}
        return {"loss": float(np.mean([one.loss for one in measured])), **means}

    def _steps(self, learner: MemberLearner) -> int:
        work = self.manifest.strategy.work
        return work.steps or learner.steps_for(work.epochs)


def _mean(arrays: list[Array]) -> Array:
    if arrays[0].dtype.kind != "f":
        return arrays[0]
    return np.mean(arrays, axis=0, dtype=np.float64).astype(arrays[0].dtype)


@pytest.fixture
def paths(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Modules of the examples are importable during a test, and forgotten after it."""
    before = set(sys.modules)
    yield monkeypatch
    for name in set(sys.modules) - before:
        if (EXAMPLES.as_posix()) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


def opened(paths: pytest.MonkeyPatch, name: str, data: str = "", **knobs: object) -> Example:
    folder = EXAMPLES / name
    paths.syspath_prepend(folder)
    draft = read_draft(folder / "task.toml")
    learner = draft.manifest.learner
    assert isinstance(learner, ModuleLearner)

    def setup(index: int) -> Setup:
        return Setup(
            kind="module",
            entry=learner.entry,
            knobs={**learner.knobs, **knobs},
            seed=draft.manifest.seed,
            share=draft.manifest.strategy.share.average,
            held_out=draft.manifest.data.held_out,
            batch=learner.batch,
            metrics=learner.metrics,
            data=data,
            index=index,
            count=3,
        )

    first = decode_model(draft.model) if draft.model else build_genesis(setup(0))
    return Example(
        draft.manifest,
        learner,
        first,
        tuple(open_learner(setup(index), first) for index in range(3)),
    )


@pytest.fixture
def base() -> Iterator[None]:
    """The network that LoRA starts from, as its script makes it."""
    script, file = EXAMPLES / "lora/make_base.py", EXAMPLES / "lora/base.safetensors"
    there = file.exists()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(script.parent)
        patch.syspath_prepend(script.parent)
        if not there:
            runpy.run_path(str(script))
    yield
    if not there:
        file.unlink()


def test_a_regression_explains_some_of_the_progression(paths: pytest.MonkeyPatch) -> None:
    example = opened(paths, "regression")
    history = example.train(5)
    first, last = example.measured(history[:1]), example.measured(history)
    assert last["r2"] > max(0.25, first["r2"])
    assert last["mae"] < first["mae"]


@pytest.mark.slow
def test_a_gan_comes_closer_to_the_rows_of_a_table(paths: pytest.MonkeyPatch) -> None:
    example = opened(paths, "tabular")
    history = example.train(5)
    first, last = example.measured(history[:1]), example.measured(history)
    assert last["distance_of_correlations"] < 0.8 * first["distance_of_correlations"]
    assert last["told_apart"] < 0.95


@pytest.mark.usefixtures("base")
def test_lora_moves_the_small_matrices_and_nothing_else(paths: pytest.MonkeyPatch) -> None:
    example = opened(paths, "lora")
    assert all("lora_" in name for name in example.shared)
    sent = sum(array.nbytes for array in example.shared.values())
    assert sent < sum(array.nbytes for array in example.first.values()) / 4
    history = example.train(5)
    assert example.measured(history)["accuracy"] > 0.75
    assert not any("frozen" in name for one in history[-1] for name in one.private)


@pytest.mark.slow
def test_the_listings_networks_train_with_batch_norm_and_discriminators_at_home(
    paths: pytest.MonkeyPatch,
) -> None:
    example = opened(paths, "listing", data="digits", width=4)
    assert all(name.startswith("generator.") for name in example.shared)
    counter = "generator.layers.1.num_batches_tracked"
    assert example.first[counter].shape == ()
    (done,) = example.train(1, steps=1)
    assert {"discriminator.layers.0.weight"} < done[0].private.keys()
    assert 0 <= example.measured([done])["accuracy"] <= 1


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_the_page_leads_to_it_and_the_file_says_how_to_run_it(file: Path) -> None:
    name = file.parent.name
    assert f"](examples/{name}/" in PAGE
    assert f"uv run ganchor simulate docs/examples/{name}/task.toml" in file.read_text()
