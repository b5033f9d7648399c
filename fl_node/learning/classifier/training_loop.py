"""The training loop: minimises cross-entropy on one device. Steps do not wait for the device."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.optim import Optimizer

from fl_node.learner import StepProgress, no_progress
from fl_node.learning.classifier.options import ClassifierOptions
from fl_node.learning.drift import SecondStream
from fl_node.learning.steps import (
    Examples,
    Tally,
    Training,
    autocast,
    draw_batches,
    is_fused,
    move_to,
    to_pictures,
)
from fl_node.seeds import derive_seed


def prepare_training(
    model: nn.ModuleDict, options: ClassifierOptions, device: torch.device
) -> Training:
    """Move a model to the device and create its optimiser."""
    move_to(model, device)
    return Training(model, {"classifier": _optimiser(model, options, is_fused(device))})


def train_steps(
    training: Training,
    options: ClassifierOptions,
    examples: Examples,
    steps: int,
    seed: int,
    second: SecondStream | None = None,
    progress: StepProgress = no_progress,
) -> float:
    """Take optimiser steps, in place; see `fl_node.learning.kind.TrainSteps`. The examples have labels."""
    device = examples.pixels_NCHW.device
    base, head = training.model["base"], training.model["head"]
    optimiser = training.optimisers["classifier"]
    batches = draw_batches(len(examples), options.batch, derive_seed(seed, "batches"), device)
    tally = Tally(("cross-entropy",), steps, progress, device)

    for step in range(1, steps + 1):
        chosen = next(batches)
        x_NCHW = to_pictures(examples.pixels_NCHW[chosen])
        with autocast(device):
            features_ND = base(x_NCHW)
            logits_NK = head(features_ND).float()
            loss = objective = F.cross_entropy(logits_NK, examples.labels_N[chosen])
            if second is not None:
                objective = loss + second.term(x_NCHW, features_ND)
        optimiser.zero_grad()
        objective.backward()
        optimiser.step()
        tally.add(0, loss)
        tally.report(step)

    return tally.mean()


def _optimiser(model: nn.Module, options: ClassifierOptions, fused: bool) -> Optimizer:
    common = {"lr": options.rate, "weight_decay": options.weight_decay, "fused": fused}
    if options.optimiser == "adam":
        return torch.optim.Adam(model.parameters(), **common)
    return torch.optim.SGD(model.parameters(), momentum=options.momentum, **common)
