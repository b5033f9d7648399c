"""Samples of the generator, and a grid of them from the same z every time, so that progress is visible."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from fl_node.arrays import Arrays, unprefixed
from fl_node.errors import Misuse
from fl_node.learning.gan.models import Generator
from fl_node.learning.gan.options import GanOptions
from fl_node.learning.steps import move_to
from fl_node.learning.tensors import fill_module

GAP = 2
"""Pixels between pictures."""

ROWS = 8
"""Rows of a grid, and columns if there are no classes."""

MAX_COLUMNS = 32
"""The most classes that a grid shows."""

CHUNK = 512
"""Number of samples that are drawn at a time."""


def sample_grid(
    options: GanOptions,
    model: Arrays,
    path: Path,
    seed: int = 0,
    rows: int = ROWS,
    columns: int | None = None,
) -> None:
    """Draw rows x columns samples into a PNG file.

    A conditional GAN has a class in each column, and the same z across each row: down a column one sees what z does,
    along a row what the class does.

    Args:
        options: The model's options.
        model: Contains a generator; its average is used if there is one. Other tensors are ignored.
        path: The file to write, in an existing folder.
        seed: Determines z.
        rows: > 0.
        columns: > 0; None for the number of classes, at most `MAX_COLUMNS`, or for `ROWS` if there are none. Beyond the
            last class the first one follows.

    Raises:
        Misuse: The model has no generator, or not the one that the options describe.
    """
    columns = columns or min(options.classes, MAX_COLUMNS) or ROWS
    random = torch.Generator().manual_seed(seed)
    if options.classes:
        z_NZ = torch.randn(rows, options.latent, generator=random).repeat_interleave(columns, dim=0)
        labels_N = (torch.arange(columns) % options.classes).repeat(rows)
    else:
        z_NZ, labels_N = torch.randn(rows * columns, options.latent, generator=random), None
    grid_HWC = _tile(_draw(options, model, z_NZ, labels_N, torch.device("cpu")), rows, columns)
    Image.fromarray(grid_HWC[:, :, 0] if options.channels == 1 else grid_HWC).save(path, "PNG")


def draw_samples(
    options: GanOptions,
    model: Arrays,
    count: int,
    seed: int,
    device: torch.device,
    labels_N: NDArray[np.int64] | None = None,
) -> NDArray[np.uint8]:
    """Draw samples: pixels_NCHW.

    Args:
        options: The model's options.
        model: As for `sample_grid`.
        count: > 0.
        seed: Determines z, which is the same on every device.
        device: The device on which the generator runs.
        labels_N: The samples' classes, if the options have classes.

    Raises:
        Misuse: As for `sample_grid`.
    """
    z_NZ = torch.randn(count, options.latent, generator=torch.Generator().manual_seed(seed))
    labels = None if labels_N is None else torch.from_numpy(labels_N)
    return _draw(options, model, z_NZ, labels, device)


@torch.no_grad()
def sample(generator: nn.Module, z_NZ: Tensor, labels_N: Tensor | None = None) -> Tensor:
    """x_NCHW of a generator that is not being trained, float32."""
    return generator.eval()(z_NZ, labels_N).float()


def to_pixels(x_NCHW: Tensor) -> Tensor:
    """-1..1 to uint8 0..255, as in a stored picture."""
    return ((x_NCHW + 1) * 127.5).round().to(torch.uint8)


def _draw(
    options: GanOptions, model: Arrays, z_NZ: Tensor, labels_N: Tensor | None, device: torch.device
) -> NDArray[np.uint8]:
    generator = move_to(_generator(options, model), device)
    parts = []
    for at in range(0, len(z_NZ), CHUNK):
        labels = None if labels_N is None else labels_N[at : at + CHUNK].to(device)
        parts.append(to_pixels(sample(generator, z_NZ[at : at + CHUNK].to(device), labels)).cpu())
    return torch.cat(parts).numpy()


def _generator(options: GanOptions, model: Arrays) -> Generator:
    for part in ("generator_ema.", "generator."):
        arrays = unprefixed(part, model)
        if arrays:
            generator = Generator(options)
            fill_module(generator, arrays)
            return generator
    raise Misuse("the model has no generator, so it cannot draw samples")


def _tile(pixels_NCHW: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.uint8]:
    _, channels, side, _ = pixels_NCHW.shape
    padded = np.pad(pixels_NCHW, ((0, 0), (0, 0), (0, GAP), (0, GAP)))
    grid = padded.reshape(rows, columns, channels, side + GAP, side + GAP)
    tiled = grid.transpose(0, 3, 1, 4, 2).reshape(rows * (side + GAP), -1, channels)
    return np.ascontiguousarray(tiled[:-GAP, :-GAP])
