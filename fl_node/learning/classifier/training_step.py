"""A training step: it lowers the cross-entropy."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from fl_node.learning.classifier.options import ClassifierOptions
from fl_node.learning.drift import Terms
from fl_node.learning.optimisers import adam, set_knobs, sgd
from fl_node.learning.steps import Batch, Step, Training, autocast, move_to

LOSSES = ("cross-entropy",)


def prepare_training(
    model: nn.ModuleDict, options: ClassifierOptions, device: torch.device
) -> Training:
    """Move a model to the device and create its optimiser."""
    move_to(model, device)
    create, knobs = (
        (adam, {}) if options.optimiser == "adam" else (sgd, {"momentum": options.momentum})
    )
    optimiser = create(
        model.parameters(), device, lr=options.rate, weight_decay=options.weight_decay, **knobs
    )
    return Training(model, {"classifier": optimiser})


def tune(training: Training, options: ClassifierOptions) -> None:
    """Set the rate for a round."""
    set_knobs(training.optimisers["classifier"], lr=options.rate)


def draw(options: ClassifierOptions, random: torch.Generator) -> dict[str, Tensor]:
    """A step draws nothing but its batch."""
    return {}


def step(training: Training, options: ClassifierOptions, terms: Terms) -> Step:
    """One step that lowers the cross-entropy of a batch. The examples have labels."""
    base, head = training.model["base"], training.model["head"]
    optimiser = training.optimisers["classifier"]

    def take(batch: Batch) -> tuple[Tensor]:
        with autocast(batch.x_NCHW.device):
            features_ND = base(batch.x_NCHW)
            logits_NK = head(features_ND).float()
            loss = objective = F.cross_entropy(logits_NK, batch.labels_N)
            if terms.second is not None:
                objective = loss + terms.second.term(batch.x_NCHW, features_ND)
        optimiser.zero_grad()
        objective.backward()
        optimiser.step()
        return (loss.detach(),)

    return take
