"""One engine trains shipped and users' models: a shipped classifier, written as a user would, has the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from knobs import classifier_options
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from fl_node.child.setup import Setup
from fl_node.learner import Assignment
from fl_node.learning import Images, TorchLearner, genesis, make_learner
from fl_node.learning.classifier.models import build
from fl_node.learning.own import own_learner
from fl_node.learning.steps import to_pictures

OPTIONS = classifier_options(width=4, classes=3, batch=8, rate=0.1)
SEED = 5
RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (24, 1, 32, 32), np.uint8)
LABELS = RANDOM.integers(0, 3, 24)


class Classes(TorchLearner):
    """The shipped classifier in a user's words."""

    def build(self, knobs: Mapping[str, Any]) -> nn.Module:
        return build(OPTIONS).to(memory_format=torch.channels_last)

    def data(self, uri: str, knobs: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        return PIXELS, LABELS

    def optimisers(self, model: nn.Module, knobs: Mapping[str, Any]) -> dict[str, Optimizer]:
        return {"classifier": SGD(model.parameters(), lr=OPTIONS.rate, fused=True)}

    def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        pixels, labels = batch
        return F.cross_entropy(model["head"](model["base"](to_pictures(pixels))), labels)


def shipped() -> Any:
    return make_learner(OPTIONS, SEED, Images(PIXELS, LABELS), "cpu", 1)


def own() -> Any:
    held_out = Decimal(str(OPTIONS.held_out))
    setup = Setup(kind="module", entry="", seed=SEED, batch=8, held_out=held_out)
    return own_learner(Classes(), setup, genesis(OPTIONS, SEED))


@pytest.mark.parametrize(
    "terms",
    [{}, {"mu": 0.3}, {"mu": 0.3, "correction": 0.01}, {"correction": 0.0}],
    ids=["plain", "pull", "pull and correction", "correction of 0"],
)
def test_it_has_the_bytes_of_the_shipped_one(terms: dict[str, Any]) -> None:
    start = genesis(OPTIONS, SEED)
    far = {name: array + np.float32(0.1) for name, array in start.items()}
    if "correction" in terms:
        value = np.float32(terms["correction"])
        terms = {**terms, "correction": {name: np.full_like(start[name], value) for name in start}}
    assignment = Assignment(start, None, 1, 6, anchor=far, **terms)
    first, second = shipped().train(assignment), own().train(assignment)
    for name in start:
        assert first.shared[name].tobytes() == second.shared[name].tobytes(), name
    assert first.training_loss == second.training_loss
    if first.mean_gradient is not None:
        for name in start:
            assert first.mean_gradient[name].tobytes() == second.mean_gradient[name].tobytes()
    assert first.num_examples == second.num_examples
    assert shipped().steps_for(3) == own().steps_for(3)


def test_its_held_out_loss_is_that_of_the_shipped_one() -> None:
    start = genesis(OPTIONS, SEED)
    first, second = shipped().measure(start, None), own().measure(start, None)
    assert first.loss == pytest.approx(second.loss, rel=1e-6)
