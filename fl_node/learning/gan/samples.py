"""Pictures out: a grid of the generator's samples, from the same z every time, so that progress can be seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from fl_node.arrays import Arrays
from fl_node.errors import Misuse
from fl_node.learning.gan.models import Generator
from fl_node.learning.options import GanOptions
from fl_node.learning.tensors import fill_module

GAP = 2
"""Pixels between pictures."""


def sample_grid(
    options: GanOptions, model: Arrays, path: Path, seed: int = 0, rows: int = 8, columns: int = 8
) -> None:
    """Draw rows x columns samples into a PNG file.

    Args:
        options: The model's.
        model: Holds a generator; its average is used if it is there. Other tensors may be there too.
        path: The file to write; its folder exists.
        seed: Gives z; the same z for the same seed.
        rows, columns: > 0.

    Raises:
        Misuse: The model holds no generator, or another one than the options describe.
    """
    generator = _generator(options, model)
    random = torch.Generator().manual_seed(seed)
    z_NZ = torch.randn(rows * columns, options.latent, generator=random)
    with torch.no_grad():
        x_NCHW = generator.eval()(z_NZ)
    pixels_NCHW = ((x_NCHW + 1) * 127.5).round().to(torch.uint8).numpy()
    grid_HWC = _tile(pixels_NCHW, rows, columns)
    Image.fromarray(grid_HWC[:, :, 0] if options.channels == 1 else grid_HWC).save(path, "PNG")


def _generator(options: GanOptions, model: Arrays) -> Generator:
    for part in ("generator_ema.", "generator."):
        own = {name.removeprefix(part): model[name] for name in model if name.startswith(part)}
        if own:
            generator = Generator(options)
            fill_module(generator, own)
            return generator
    raise Misuse("the model holds no generator, so that nothing can be drawn")


def _tile(pixels_NCHW: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.uint8]:
    _, channels, side, _ = pixels_NCHW.shape
    padded = np.pad(pixels_NCHW, ((0, 0), (0, 0), (0, GAP), (0, GAP)))
    grid = padded.reshape(rows, columns, channels, side + GAP, side + GAP)
    tiled = grid.transpose(0, 3, 1, 4, 2).reshape(rows * (side + GAP), -1, channels)
    return np.ascontiguousarray(tiled[:-GAP, :-GAP])
