"""How a member trains a flow: each step lowers the flow-matching loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fl_node.learning.averages import averaging
from fl_node.learning.drift import Terms
from fl_node.learning.flow.evaluation import held_out_loss
from fl_node.learning.flow.losses import velocity_loss
from fl_node.learning.flow.models import build
from fl_node.learning.flow.options import FlowOptions
from fl_node.learning.optimisers import adam, set_knobs
from fl_node.learning.pictures import PictureLearner
from fl_node.learning.steps import Batch, Features, Pictures, Step, Training, autocast

FLOW, VELOCITY = "flow", "velocity"
"""The name of the network and its optimiser, and that of the loss."""


class FlowMatching(PictureLearner):
    """One network, trained by Adam, and its average if one is kept."""

    rates = ("rate",)
    losses = (VELOCITY,)

    def build(self, options: FlowOptions) -> nn.ModuleDict:
        """The flow, and its average if one is kept."""
        return build(options)

    def optimisers(self, model: nn.ModuleDict, options: FlowOptions) -> dict[str, Optimizer]:
        """An Adam for the flow."""
        return {FLOW: adam(model[FLOW].parameters(), **_knobs(options))}

    def tune(self, optimisers: Mapping[str, Optimizer], options: FlowOptions) -> None:
        """Set rate and betas for a round."""
        set_knobs(optimisers[FLOW], **_knobs(options))

    def draw(self, options: FlowOptions, random: torch.Generator) -> dict[str, Tensor]:
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

    def features(self, model: nn.ModuleDict) -> Features:
        """The last hidden layer for pictures at time 1, without their classes."""
        body = model[FLOW].body
        return lambda x_NCHW: body(x_NCHW, x_NCHW.new_ones(len(x_NCHW)))

    def held_out_loss(
        self, options: FlowOptions, model: nn.ModuleDict, held_out: Pictures, seed: int
    ) -> float:
        """The flow-matching loss, always with the same noise and times."""
        return held_out_loss(options, model, held_out, seed)

    def step(self, training: Training, options: FlowOptions, terms: Terms) -> Step:
        """One step that lowers the squared error of the velocity.

        A second stream compares the features of the pictures as they are, at time 1.
        """
        flow, optimiser = training.model[FLOW], training.optimisers[FLOW]
        move_average = averaging(training.model, FLOW, options.ema_half_life)

        def take(batch: Batch) -> dict[str, Tensor]:
            labels_N = batch.labels_N if options.classes else None
            with autocast(batch.x_NCHW.device):
                loss = objective = velocity_loss(
                    flow, batch.x_NCHW, batch.drawn["noise_NCHW"], batch.drawn["times_N"], labels_N
                )
                if terms.second is not None:
                    trained = self.features(training.model)(batch.x_NCHW)
                    objective = loss + terms.second.term(batch.x_NCHW, trained)
            optimiser.zero_grad()
            objective.backward()
            optimiser.step()
            move_average()
            return {VELOCITY: loss.detach()}

        return take


def _knobs(options: FlowOptions) -> dict[str, Any]:
    return {"lr": options.rate, "betas": (options.beta1, options.beta2)}
