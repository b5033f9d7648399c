"""How far samples are from real pictures, by a number that falls as they get better, unlike a GAN's own losses."""

from __future__ import annotations

import torch
from torch import Tensor

from fl_node.learning.models import Generator

SAMPLES = 256
MAX_REAL = 1024
"""Held-out pictures that are measured on, where there are more."""


@torch.no_grad()
def held_out_loss(generator: Generator, x_real_NCHW: Tensor, z_NZ: Tensor) -> float:
    """Energy distance between real pictures and the generator's samples from fixed z; 0 where they are alike.

    Args:
        generator: The received one.
        x_real_NCHW: At least 2 pictures in [-1, 1].
        z_NZ: At least 2.
    """
    generator.eval()
    x_fake_NCHW = generator(z_NZ).float()
    generator.train()
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
