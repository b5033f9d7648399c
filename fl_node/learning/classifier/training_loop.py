"""A training step: it lowers the cross-entropy."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.optim import Optimizer

from fl_node.learning.classifier.options import ClassifierOptions
from fl_node.learning.drift import Terms
from fl_node.learning.steps import Batch, Step, Training, autocast, is_fused, move_to

LOSSES = ("cross-entropy",)


def prepare_training(
    model: nn.ModuleDict, options: ClassifierOptions, device: torch.device
) -> Training:
    """Move a model to the device and create its optimiser."""
    move_to(model, device)
    return Training(model, {"classifier": _optimiser(model, options, is_fused(device))})


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


def _optimiser(model: nn.Module, options: ClassifierOptions, fused: bool) -> Optimizer:
    common = {"lr": options.rate, "weight_decay": options.weight_decay, "fused": fused}
    if options.optimiser == "adam":
        return torch.optim.Adam(model.parameters(), **common)
    return torch.optim.SGD(model.parameters(), momentum=options.momentum, **common)
