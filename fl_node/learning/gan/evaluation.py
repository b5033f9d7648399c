"""How far samples are from real pictures, by a number that falls as they get better, unlike a GAN's own losses."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fl_node.learning.options import GanOptions
from fl_node.learning.steps import Examples, to_pictures
from fl_node.seeds import derive_seed

SAMPLES = 256
MAX_REAL = 1024
"""Held-out pictures that are measured on, where there are more."""


def held_out_loss(
    options: GanOptions, model: nn.ModuleDict, held_out: Examples, seed: int
) -> float:
    """Energy distance between held-out pictures and the generator's samples from fixed z; 0 where they are alike.

    The generator's average is measured, where the model has one. Adversarial losses say little about the pictures, and
    this does.

    Args:
        options: The model's.
        model: On the pictures' device.
        held_out: At least 2.
        seed: Gives z: the same in every round and on every device, so that rounds can be compared.
    """
    generator = model["generator_ema" if "generator_ema" in model else "generator"]
    x_real_NCHW = to_pictures(held_out.pixels_NCHW[:MAX_REAL])
    random = torch.Generator().manual_seed(derive_seed(seed, "held-out z"))
    z_NZ = torch.randn(SAMPLES, options.latent, generator=random).to(x_real_NCHW.device)
    with torch.no_grad():
        x_fake_NCHW = generator.eval()(z_NZ).float()
    return energy_distance(x_real_NCHW.flatten(1), x_fake_NCHW.flatten(1)).item()


def energy_distance(x_ND: Tensor, y_MD: Tensor) -> Tensor:
    """2 E|x-y| - E|x-x'| - E|y-y'|, in root-mean-square units of one pixel; unbiased, so it may fall a little below 0.

    Source: Székely and Rizzo 2013, "Energy statistics".
    """
    across = torch.cdist(x_ND, y_MD).mean()
    return (2 * across - _mean_distance(x_ND) - _mean_distance(y_MD)) / x_ND.shape[1] ** 0.5


def _mean_distance(x_ND: Tensor) -> Tensor:
    count = len(x_ND)
    return torch.cdist(x_ND, x_ND).sum() / (count * (count - 1))
