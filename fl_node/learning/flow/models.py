"""The network of flow matching: a small U-Net (Ronneberger et al. 2015, arXiv:1505.04597) that knows the time.

It gives the velocity at which a picture moves. At time 0 pictures are noise, at time 1 they are data.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from fl_node.learning.flow.options import FlowOptions

SMALLEST = 4
"""Pixels on each side of the smallest feature maps."""

WAVES = 16
"""Number of cosines of the time; the fastest one goes up and down 7.5 times between time 0 and time 1."""


class Flow(nn.Module):
    """x_NCHW, times_N from 0 to 1, and the classes if there are any -> velocity_NCHW."""

    def __init__(self, options: FlowOptions) -> None:
        super().__init__()
        self.body = Body(options)
        self.to_velocity = nn.ConvTranspose2d(options.width, options.channels, 4, 2, 1)

    def forward(self, x_NCHW: Tensor, times_N: Tensor, labels_N: Tensor | None = None) -> Tensor:
        return self.to_velocity(self.body(x_NCHW, times_N, labels_N))


class Body(nn.Module):
    """Everything before the last layer: feature maps of half the picture's size, `width` of them.

    From the picture to the smallest maps, sizes halve and widths double; on the way back the maps of the same size are
    added. There is no norm: docs/decisions/0023-flow-matching.md.
    """

    def __init__(self, options: FlowOptions) -> None:
        super().__init__()
        levels = int(math.log2(options.size // 2 // SMALLEST)) + 1
        widths = [options.width << level for level in range(levels)]
        self.from_picture = nn.Conv2d(options.channels, options.width, 4, 2, 1)
        self.condition = Condition(options, [*widths, *widths[-2::-1]])
        self.down = nn.ModuleList(Residual(width) for width in widths)
        self.narrow = nn.ModuleList(nn.Conv2d(width, 2 * width, 4, 2, 1) for width in widths[:-1])
        self.widen = nn.ModuleList(
            nn.ConvTranspose2d(2 * width, width, 4, 2, 1) for width in widths[-2::-1]
        )
        self.up = nn.ModuleList(Residual(width) for width in widths[-2::-1])

    def forward(self, x_NCHW: Tensor, times_N: Tensor, labels_N: Tensor | None = None) -> Tensor:
        shifts = iter(self.condition(times_N, labels_N))
        maps, skipped = self.from_picture(x_NCHW), []
        for residual, narrow in zip(self.down, [*self.narrow, None], strict=True):
            maps = residual(maps, next(shifts))
            if narrow is not None:
                skipped.append(maps)
                maps = narrow(maps)
        for widen, residual in zip(self.widen, self.up, strict=True):
            maps = residual(widen(maps) + skipped.pop(), next(shifts))
        return maps


class Condition(nn.Module):
    """times_N, and the classes if there are any -> what each residual block adds to its channels, shift_NC."""

    waves: Tensor

    def __init__(self, options: FlowOptions, widths: list[int]) -> None:
        super().__init__()
        self._widths, embedding = widths, 4 * options.width
        self.time = nn.Linear(WAVES, embedding)
        if options.classes:
            self.classes = nn.Embedding(options.classes, embedding)
        self.to_shifts = nn.Linear(embedding, sum(widths))
        self.register_buffer("waves", math.pi * torch.arange(WAVES), persistent=False)

    def forward(self, times_N: Tensor, labels_N: Tensor | None) -> tuple[Tensor, ...]:
        embedded = self.time(torch.cos(times_N[:, None] * self.waves))
        if labels_N is not None:
            embedded = embedded + self.classes(labels_N)
        return self.to_shifts(F.silu(embedded)).split(self._widths, dim=1)


class Residual(nn.Module):
    """Two convolutions beside a shortcut; the shift stands between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, 1, 1)
        self.second = nn.Conv2d(width, width, 3, 1, 1)

    def forward(self, maps_NCHW: Tensor, shift_NC: Tensor) -> Tensor:
        inner = self.first(F.silu(maps_NCHW)) + shift_NC[:, :, None, None]
        return maps_NCHW + self.second(F.silu(inner))


def build(options: FlowOptions) -> nn.ModuleDict:
    """The whole model: `flow`, and `flow_ema`, its average, if one is kept.

    The weights are arbitrary, and are later filled from `fl_node.learning.genesis` or a received model.
    """
    # Creating modules draws weights, which are replaced later. The process's random numbers must not change.
    with torch.random.fork_rng(devices=[]):
        parts = {"flow": Flow(options)}
        if options.ema_half_life:
            parts["flow_ema"] = Flow(options).requires_grad_(False)
    return nn.ModuleDict(parts)
