"""Samples of models that make pictures from noise, and a grid of them, so that progress is visible."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from fl_node.arrays import Arrays, unprefixed
from fl_node.errors import Misuse
from fl_node.learning.averages import drawing_part
from fl_node.learning.features import Pixels
from fl_node.learning.tensors import fill_module

GAP = 2
"""Pixels between the pictures of a grid."""

ROWS = 8
"""Rows of a grid, and columns if there are no classes."""

MAX_COLUMNS = 32
"""The most classes that a grid shows."""

CHUNK = 512
"""Number of samples that are drawn at a time."""


Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class Sampler:
    """A model that makes pictures from noise.

    Attributes:
        noise: The shape of the noise for one picture. Its numbers are normal, with mean 0 and standard deviation 1.
        classes: Number of classes that can be asked for; 0 if there are none.
        device: The device on which the model is.
        draw: noise_N..., int64 labels_N if there are classes -> x_NCHW, float32, where -1 is black and 1 is white.
    """

    noise: tuple[int, ...]
    classes: int
    device: torch.device
    draw: Callable[[Tensor, Tensor | None], Tensor]


def drawing_network(model: Arrays, part: str, build: Callable[[], Network]) -> Network:
    """The network that makes a model's pictures, filled with its weights: the average of a part if there is one.

    Args:
        model: Other tensors are ignored.
        part: Such as `generator`.
        build: Builds the part, with arbitrary weights.

    Raises:
        Misuse: The model has no such part, or another network than the one that is built.
    """
    name = drawing_part({tensor.partition(".")[0] for tensor in model}, part)
    if name is None:
        raise Misuse(f"the model has no {part}, so it cannot draw samples")
    network = build()
    fill_module(network, unprefixed(f"{name}.", model))
    return network


def sample_grid(
    sampler: Sampler, path: Path, seed: int = 0, rows: int = ROWS, columns: int | None = None
) -> None:
    """Draw rows x columns samples into a PNG file.

    With classes, each column shows one, and each row has the same noise: down a column one sees what the noise does,
    along a row what the class does.

    Args:
        sampler: Draws the samples.
        path: The file to write, in an existing folder.
        seed: Determines the noise.
        rows: > 0.
        columns: > 0; None for the number of classes, at most `MAX_COLUMNS`, or for `ROWS` if there are none. Beyond the
            last class the first one follows.
    """
    columns = columns or min(sampler.classes, MAX_COLUMNS) or ROWS
    if sampler.classes:
        noise = _noise(sampler, rows, seed).repeat_interleave(columns, dim=0)
        labels_N = (torch.arange(columns) % sampler.classes).repeat(rows)
    else:
        noise, labels_N = _noise(sampler, rows * columns, seed), None
    grid_HWC = _tile(_draw(sampler, noise, labels_N), rows, columns)
    Image.fromarray(grid_HWC[:, :, 0] if grid_HWC.shape[2] == 1 else grid_HWC).save(path, "PNG")


def draw_samples(
    sampler: Sampler, count: int, seed: int, labels_N: NDArray[np.int64] | None = None
) -> Pixels:
    """Draw samples: pixels_NCHW.

    Args:
        sampler: Draws the samples.
        count: > 0.
        seed: Determines the noise, which is the same on every device.
        labels_N: The samples' classes, if the sampler has classes.
    """
    labels = None if labels_N is None else torch.from_numpy(labels_N)
    return _draw(sampler, _noise(sampler, count, seed), labels)


def to_pixels(x_NCHW: Tensor) -> Tensor:
    """-1..1 to uint8 0..255, as in a stored picture; what lies outside is cut off."""
    return ((x_NCHW + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def _noise(sampler: Sampler, count: int, seed: int) -> Tensor:
    return torch.randn(count, *sampler.noise, generator=torch.Generator().manual_seed(seed))


def _draw(sampler: Sampler, noise: Tensor, labels_N: Tensor | None) -> Pixels:
    parts = []
    for at in range(0, len(noise), CHUNK):
        chunk = slice(at, at + CHUNK)
        labels = None if labels_N is None else labels_N[chunk].to(sampler.device)
        parts.append(to_pixels(sampler.draw(noise[chunk].to(sampler.device), labels)).cpu())
    return torch.cat(parts).numpy()


def _tile(pixels_NCHW: Pixels, rows: int, columns: int) -> Pixels:
    _, channels, side, _ = pixels_NCHW.shape
    padded = np.pad(pixels_NCHW, ((0, 0), (0, 0), (0, GAP), (0, GAP)))
    grid = padded.reshape(rows, columns, channels, side + GAP, side + GAP)
    tiled = grid.transpose(0, 3, 1, 4, 2).reshape(rows * (side + GAP), -1, channels)
    return np.ascontiguousarray(tiled[:-GAP, :-GAP])
