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

CHUNK = 512
"""Number of samples that are drawn at a time."""


def sample_grid(
    options: GanOptions, model: Arrays, path: Path, seed: int = 0, rows: int = 8, columns: int = 8
) -> None:
    """Draw rows x columns samples into a PNG file.

    Args:
        options: The model's options.
        model: Contains a generator; its average is used if there is one. Other tensors are ignored.
        path: The file to write, in an existing folder.
        seed: Determines z.
        rows, columns: > 0.

    Raises:
        Misuse: The model has no generator, or not the one that the options describe.
    """
    pixels_NCHW = draw_samples(options, model, rows * columns, seed, torch.device("cpu"))
    grid_HWC = _tile(pixels_NCHW, rows, columns)
    Image.fromarray(grid_HWC[:, :, 0] if options.channels == 1 else grid_HWC).save(path, "PNG")


def draw_samples(
    options: GanOptions, model: Arrays, count: int, seed: int, device: torch.device
) -> NDArray[np.uint8]:
    """Draw samples: pixels_NCHW.

    Args:
        options: The model's options.
        model: As for `sample_grid`.
        count: > 0.
        seed: Determines z, which is the same on every device.
        device: The device on which the generator runs.

    Raises:
        Misuse: As for `sample_grid`.
    """
    generator = move_to(_generator(options, model), device)
    random = torch.Generator().manual_seed(seed)
    z_NZ = torch.randn(count, options.latent, generator=random)
    parts = [to_pixels(sample(generator, z_NZ.to(device))).cpu() for z_NZ in z_NZ.split(CHUNK)]
    return torch.cat(parts).numpy()


@torch.no_grad()
def sample(generator: nn.Module, z_NZ: Tensor) -> Tensor:
    """x_NCHW of a generator that is not being trained, float32."""
    return generator.eval()(z_NZ).float()


def to_pixels(x_NCHW: Tensor) -> Tensor:
    """-1..1 to uint8 0..255, as in a stored picture."""
    return ((x_NCHW + 1) * 127.5).round().to(torch.uint8)


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
