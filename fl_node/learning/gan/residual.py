"""Residual layers without norms, after R3GAN (Huang et al. 2024, arXiv:2501.05441), in the DCGAN's sizes and widths.

A GPU starts a kernel for each of a step's operations, and norms under gradient penalties are most of these. Without
norms, residual branches have to start small instead: their last layer starts at 0 (Fixup, Zhang et al. 2019,
arXiv:1901.09321), so each network starts as a chain of linear layers.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from fl_node.learning.gan.options import GanOptions

LEAK = 0.2


class Residual(nn.Module):
    """x + second(leaky_relu(first(x))), two 3x3 convolutions. As in R3GAN, the sum itself has no activation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.activation = nn.LeakyReLU(LEAK, inplace=True)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return x_NCHW + self.second(self.activation(self.first(x_NCHW)))


def generator_layers(options: GanOptions) -> tuple[nn.Sequential, nn.Module]:
    """A block for each size below the picture's: 4x4, 8x8, ..., whose widths halve; then up to the picture."""
    sizes = _sizes(options)
    widths = [options.generator_width * options.size // (2 * size) for size in sizes]
    blocks: OrderedDict[str, nn.Module] = OrderedDict()
    for size, width_in, width in zip(sizes, [options.inputs, *widths], widths, strict=False):
        up = _from_latent(width_in, width) if size == 4 else _up(width_in, width)
        blocks[f"stage_{size}x{size}"] = nn.Sequential(OrderedDict(up, block=Residual(width)))
    blocks["up"] = _resample()
    return nn.Sequential(blocks), nn.Conv2d(widths[-1], options.channels, 3, padding=1)


def discriminator_layers(options: GanOptions) -> tuple[nn.Sequential, nn.Module]:
    """The generator's mirror: from the picture to half its size, then a block for each size down to 4x4."""
    sizes = _sizes(options)[::-1]
    widths = [options.discriminator_width * options.size // (2 * size) for size in sizes]
    blocks: OrderedDict[str, nn.Module] = OrderedDict()
    for size, width_in, width in zip(sizes, [options.channels, *widths], widths, strict=False):
        down = _from_picture(width_in, width) if size == sizes[0] else _down(width_in, width)
        blocks[f"stage_{size}x{size}"] = nn.Sequential(OrderedDict(down, block=Residual(width)))
    blocks["activation"] = nn.LeakyReLU(LEAK)
    return nn.Sequential(blocks), nn.Conv2d(widths[-1], 1, 4, bias=False)


def _sizes(options: GanOptions) -> list[int]:
    """The sizes of the feature maps, from 4 to half of the picture's."""
    return [4 << number for number in range((options.size // 8).bit_length())]


def _from_latent(width_in: int, width: int) -> dict[str, nn.Module]:
    linear = nn.Linear(width_in, width * 4 * 4)
    return {"flat": nn.Flatten(), "linear": linear, "map": nn.Unflatten(1, (width, 4, 4))}


def _up(width_in: int, width: int) -> dict[str, nn.Module]:
    # The convolution comes first, so that it has a quarter of the work.
    return {"conv": nn.Conv2d(width_in, width, 1), "up": _resample()}


def _resample() -> nn.Upsample:
    return nn.Upsample(scale_factor=2, mode="bilinear")


def _from_picture(width_in: int, width: int) -> dict[str, nn.Module]:
    return {"conv": nn.Conv2d(width_in, width, 4, 2, 1)}


def _down(width_in: int, width: int) -> dict[str, nn.Module]:
    return {"conv": nn.Conv2d(width_in, width, 2, 2)}
