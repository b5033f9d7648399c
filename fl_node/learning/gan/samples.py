"""Samples of the generator."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fl_node.arrays import Arrays
from fl_node.learning.gan.models import Generator
from fl_node.learning.gan.options import GanOptions
from fl_node.learning.sampling import Sampler, drawing_network
from fl_node.learning.steps import move_to


def sampler(options: GanOptions, model: Arrays, device: torch.device) -> Sampler:
    """A model's sampler, whose noise is z.

    Args:
        options: The model's options.
        model: Contains a generator; its average is used if there is one. Other tensors are ignored.
        device: The device on which the generator runs.

    Raises:
        Misuse: The model has no generator, or not the one that the options describe.
    """
    generator = move_to(drawing_network(model, "generator", lambda: Generator(options)), device)
    return Sampler(
        noise=(options.latent,),
        classes=options.classes,
        device=device,
        draw=lambda z_NZ, labels_N: sample(generator, z_NZ, labels_N),
    )


@torch.no_grad()
def sample(generator: nn.Module, z_NZ: Tensor, labels_N: Tensor | None = None) -> Tensor:
    """x_NCHW of a generator that is not being trained, float32."""
    return generator.eval()(z_NZ, labels_N).float()
