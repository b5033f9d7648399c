"""Samples: noise that moves at the flow's velocity from time 0 to time 1."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fl_node.arrays import Arrays
from fl_node.learning.flow.models import Flow
from fl_node.learning.flow.options import FlowOptions
from fl_node.learning.sampling import Sampler, drawing_network
from fl_node.learning.steps import move_to

Velocity = Callable[[Tensor, Tensor], Tensor]
"""x_NCHW, times_N -> velocity_NCHW."""


def integrate(velocity: Velocity, noise_NCHW: Tensor, steps: int) -> Tensor:
    """Move noise from time 0 to time 1 at a velocity: x_NCHW.

    The midpoint method, of second order: in each step pictures move at the velocity in its middle.

    Args:
        velocity: Called twice in each step.
        noise_NCHW: Normal with mean 0 and standard deviation 1.
        steps: > 0, of equal length.
    """
    x_NCHW = noise_NCHW
    for step in range(steps):
        middle_NCHW = x_NCHW + velocity(x_NCHW, _times(x_NCHW, step / steps)) / (2 * steps)
        x_NCHW = x_NCHW + velocity(middle_NCHW, _times(x_NCHW, (step + 0.5) / steps)) / steps
    return x_NCHW


@torch.no_grad()
def sample(flow: Flow, noise_NCHW: Tensor, steps: int, labels_N: Tensor | None = None) -> Tensor:
    """x_NCHW of a flow that is not being trained, float32; values are in [-1, 1] but for small errors."""
    flow.eval()
    return integrate(lambda x, times: flow(x, times, labels_N).float(), noise_NCHW, steps)


def sampler(options: FlowOptions, model: Arrays, device: torch.device) -> Sampler:
    """A model's sampler.

    Args:
        options: The model's options.
        model: Contains a whole flow; its average is used if there is one. Other tensors are ignored.
        device: The device on which the flow runs.

    Raises:
        Misuse: The model has no flow, or not the one that the options describe, or members keep its last layer.
    """
    flow = move_to(drawing_network(model, "flow", lambda: Flow(options)), device)
    return Sampler(
        noise=(options.channels, options.size, options.size),
        classes=options.classes,
        device=device,
        draw=lambda noise_NCHW, labels_N: sample(
            flow, noise_NCHW, options.sampling_steps, labels_N
        ),
    )


def _times(x_NCHW: Tensor, time: float) -> Tensor:
    return x_NCHW.new_full((len(x_NCHW),), time)
