"""DCGAN's layers (Radford et al. 2015, arXiv:1511.06434)."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from fl_node.learning.gan.options import GanOptions
from fl_node.learning.norms import Norm, group_norm

LEAK = 0.2


def generator_layers(options: GanOptions) -> tuple[nn.Sequential, nn.Module]:
    """From layer to layer, widths halve and sizes double: 4x4, 8x8, ... up to the picture."""
    blocks: OrderedDict[str, nn.Module] = OrderedDict()
    width_in, size = options.inputs, 4
    while size < options.size:
        width = options.generator_width * options.size // (2 * size)
        conv = _up(width_in, width, options.norm, first=size == 4)
        blocks[f"to_{size}x{size}"] = _block(conv, width, options.norm, nn.ReLU(inplace=True))
        width_in, size = width, 2 * size
    return nn.Sequential(blocks), nn.ConvTranspose2d(
        width_in, options.channels, 4, 2, 1, bias=False
    )


def discriminator_layers(options: GanOptions) -> tuple[nn.Sequential, nn.Module]:
    """The generator's mirror; its first block has no norm."""
    blocks: OrderedDict[str, nn.Module] = OrderedDict()
    width_in, size = options.channels, options.size
    while size > 4:
        norm: Norm = "none" if size == options.size else options.norm
        width = options.discriminator_width * options.size // size
        conv = nn.Conv2d(width_in, width, 4, 2, 1, bias=_bias(options.norm))
        activation = nn.LeakyReLU(LEAK, inplace=True)
        blocks[f"from_{size}x{size}"] = _block(conv, width, norm, activation)
        width_in, size = width, size // 2
    return nn.Sequential(blocks), nn.Conv2d(width_in, 1, 4, 1, 0, bias=False)


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
