"""Samples of the generator."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fl_node.arrays import Arrays, unprefixed
from fl_node.errors import Misuse
from fl_node.learning.gan.models import Generator
from fl_node.learning.gan.options import GanOptions
from fl_node.learning.sampling import Sampler
from fl_node.learning.steps import move_to
from fl_node.learning.tensors import fill_module


def sampler(options: GanOptions, model: Arrays, device: torch.device) -> Sampler:
    """A model's sampler, whose noise is z.

    Args:
        options: The model's options.
        model: Contains a generator; its average is used if there is one. Other tensors are ignored.
        device: The device on which the generator runs.

    Raises:
        Misuse: The model has no generator, or not the one that the options describe.
    """
    generator = move_to(_generator(options, model), device)
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


def _generator(options: GanOptions, model: Arrays) -> Generator:
    for part in ("generator_ema.", "generator."):
        arrays = unprefixed(part, model)
        if arrays:
            generator = Generator(options)
            fill_module(generator, arrays)
            return generator
    raise Misuse("the model has no generator, so it cannot draw samples")
