"""A training step: it lowers the flow-matching loss.

Between noise at time 0 and a picture at time 1, each picture moves on a straight line at a constant velocity. The
network sees a point of the line and the time, and learns the velocity.

Source: Lipman et al. 2022 (arXiv:2210.02747), with the straight lines of Liu et al. 2022 (rectified flow,
arXiv:2209.03003).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from fl_node.learning.averages import averaging
from fl_node.learning.drift import Terms
from fl_node.learning.flow.options import FlowOptions
from fl_node.learning.optimisers import adam, set_knobs
from fl_node.learning.steps import Batch, Features, Step, Training, autocast, move_to

LOSSES = ("velocity",)


def prepare_training(model: nn.ModuleDict, options: FlowOptions, device: torch.device) -> Training:
    """Move a model to the device and create its Adam optimiser."""
    move_to(model, device)
    return Training(model, {"flow": adam(model["flow"].parameters(), device, **_knobs(options))})


def tune(training: Training, options: FlowOptions) -> None:
    """Set rate and betas for a round."""
    set_knobs(training.optimisers["flow"], **_knobs(options))


def draw(options: FlowOptions, random: torch.Generator) -> dict[str, Tensor]:
    """The noise of one step, and the times: evenly spaced from one random time on, each uniform in [0, 1).

    Evenly spaced times lower the variance of the loss: Kingma et al. 2021 (arXiv:2107.00630, section I.1).
    """
    shape = (options.batch, options.channels, options.size, options.size)
    noise_NCHW = torch.randn(shape, generator=random)
    times_N = torch.arange(options.batch) / options.batch
    return {
        "noise_NCHW": noise_NCHW,
        "times_N": (times_N + torch.rand(1, generator=random)).remainder(1),
    }


def step(training: Training, options: FlowOptions, terms: Terms) -> Step:
    """One step that lowers the squared error of the velocity.

    A second stream compares the features of the pictures as they are, at time 1.
    """
    flow, optimiser = training.model["flow"], training.optimisers["flow"]
    move_average = averaging(training.model, "flow", options.ema_half_life)

    def take(batch: Batch) -> tuple[Tensor]:
        labels_N = batch.labels_N if options.classes else None
        with autocast(batch.x_NCHW.device):
            loss = objective = velocity_loss(
                flow, batch.x_NCHW, batch.drawn["noise_NCHW"], batch.drawn["times_N"], labels_N
            )
            if terms.second is not None:
                trained = features(training.model)(batch.x_NCHW)
                objective = loss + terms.second.term(batch.x_NCHW, trained)
        optimiser.zero_grad()
        objective.backward()
        optimiser.step()
        move_average()
        return (loss.detach(),)

    return take


def velocity_loss(
    flow: nn.Module, x_NCHW: Tensor, noise_NCHW: Tensor, times_N: Tensor, labels_N: Tensor | None
) -> Tensor:
    """The mean squared error of the flow's velocity at times of the lines from noise to pictures."""
    times_N111 = times_N[:, None, None, None]
    between_NCHW = torch.lerp(noise_NCHW, x_NCHW, times_N111)
    velocity_NCHW = flow(between_NCHW, times_N, labels_N).float()
    return F.mse_loss(velocity_NCHW, x_NCHW - noise_NCHW)


def features(model: nn.ModuleDict) -> Features:
    """The flow's last hidden layer for pictures at time 1, without their classes."""
    body = model["flow"].body
    return lambda x_NCHW: body(x_NCHW, x_NCHW.new_ones(len(x_NCHW)))


def _knobs(options: FlowOptions) -> dict[str, Any]:
    return {"lr": options.rate, "betas": (options.beta1, options.beta2)}
