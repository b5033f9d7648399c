"""DCGAN's generator and discriminator (Radford et al. 2015, arXiv:1511.06434), for pictures of 32x32 and 64x64.

Suffixes name shapes, in this whole package: N pictures, Z latent, C channels, H height, W width. x_NCHW is in [-1, 1].
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from fl_node.learning.gan.options import GanOptions
from fl_node.learning.norms import Norm, group_norm

LEAK = 0.2


class Generator(nn.Module):
    """z_NZ -> x_NCHW. From layer to layer, widths halve and sizes double: 4x4, 8x8, ... up to the picture."""

    def __init__(self, options: GanOptions) -> None:
        super().__init__()
        blocks: OrderedDict[str, nn.Module] = OrderedDict()
        width_in, size = options.latent, 4
        while size < options.size:
            width = options.generator_width * options.size // (2 * size)
            conv = _up(width_in, width, options.norm, first=size == 4)
            blocks[f"to_{size}x{size}"] = _block(conv, width, options.norm, nn.ReLU(inplace=True))
            width_in, size = width, 2 * size
        self.blocks = nn.Sequential(blocks)
        self.to_picture = nn.ConvTranspose2d(width_in, options.channels, 4, 2, 1, bias=False)

    def forward(self, z_NZ: Tensor) -> Tensor:
        return torch.tanh(self.to_picture(self.blocks(z_NZ[:, :, None, None])))


class Discriminator(nn.Module):
    """x_NCHW -> logits_N, where above 0 means real. It mirrors the generator; its first block has no norm."""

    def __init__(self, options: GanOptions) -> None:
        super().__init__()
        blocks: OrderedDict[str, nn.Module] = OrderedDict()
        width_in, size = options.channels, options.size
        while size > 4:
            norm: Norm = "none" if size == options.size else options.norm
            width = options.discriminator_width * options.size // size
            conv = nn.Conv2d(width_in, width, 4, 2, 1, bias=_bias(options.norm))
            activation = nn.LeakyReLU(LEAK, inplace=True)
            blocks[f"from_{size}x{size}"] = _block(conv, width, norm, activation)
            width_in, size = width, size // 2
        self.blocks = nn.Sequential(blocks)
        self.to_logit = nn.Conv2d(width_in, 1, 4, 1, 0, bias=False)

    def features(self, x_NCHW: Tensor) -> Tensor:
        """The last hidden layer: feature maps of 4x4."""
        return self.blocks(x_NCHW)

    def judge(self, features_NCHW: Tensor) -> Tensor:
        """Features -> logits_N."""
        return self.to_logit(features_NCHW).flatten()

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return self.judge(self.features(x_NCHW))


def build(options: GanOptions) -> nn.ModuleDict:
    """The whole model: generator, discriminator, and `generator_ema`, the generator's average, if one is kept.

    The weights are arbitrary, and are later filled from `fl_node.learning.genesis` or a received model.
    """
    # Creating modules draws weights, which are replaced later. The process's random numbers must not change.
    with torch.random.fork_rng(devices=[]):
        parts = {"generator": Generator(options), "discriminator": Discriminator(options)}
        if options.ema_half_life:
            parts["generator_ema"] = Generator(options).requires_grad_(False)
    return nn.ModuleDict(parts)


def _up(width_in: int, width: int, norm: Norm, first: bool) -> nn.ConvTranspose2d:
    stride, padding = (1, 0) if first else (2, 1)
    return nn.ConvTranspose2d(width_in, width, 4, stride, padding, bias=_bias(norm))


def _block(conv: nn.Module, width: int, norm: Norm, activation: nn.Module) -> nn.Sequential:
    parts = OrderedDict(conv=conv)
    if norm == "batch":
        parts["norm"] = nn.BatchNorm2d(width)
    elif norm == "group":
        parts["norm"] = group_norm(width)
    return nn.Sequential(OrderedDict(parts, activation=activation))


def _bias(norm: Norm) -> bool:
    # A norm has its own shift, which makes the convolution's bias redundant.
    return norm == "none"
