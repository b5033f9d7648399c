"""Pictures out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from knobs import gan_options
from PIL import Image

from fl_node.arrays import unprefixed
from fl_node.errors import Misuse
from fl_node.learning import genesis
from fl_node.learning.gan.models import Generator
from fl_node.learning.gan.samples import sample, sampler
from fl_node.learning.sampling import GAP, MAX_COLUMNS, draw_samples, sample_grid, to_pixels
from fl_node.learning.tensors import fill_module

CPU = torch.device("cpu")
SMALL = gan_options(generator_width=4, discriminator_width=4, latent=8)


def of_genesis(options):
    return sampler(options, genesis(options, 1), CPU)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_a_grid_has_rows_columns_and_gaps(tmp_path, channels, mode):
    options = gan_options(generator_width=4, discriminator_width=4, latent=8, channels=channels)
    sample_grid(of_genesis(options), tmp_path / "grid.png", rows=2, columns=3)
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.format == "PNG" and grid.mode == mode
        assert grid.size == (3 * 32 + 2 * 2, 2 * 32 + 2)


CONDITIONAL = gan_options(generator_width=4, discriminator_width=4, latent=8, classes=3)


def grid_of(path: Path, side: int = 32) -> np.ndarray:
    """The pictures of a grid: rows, columns, height, width."""
    with Image.open(path) as grid:
        pixels = np.pad(np.asarray(grid), ((0, GAP), (0, GAP)))
    rows, columns = (length // (side + GAP) for length in pixels.shape)
    whole = pixels.reshape(rows, side + GAP, columns, side + GAP).transpose(0, 2, 1, 3)
    return whole[:, :, :side, :side]


def test_a_conditional_grid_has_a_class_in_each_column_and_a_z_in_each_row(tmp_path):
    model = genesis(CONDITIONAL, 1)
    sample_grid(of_genesis(CONDITIONAL), tmp_path / "grid.png", seed=7)
    pixels_RCHW = grid_of(tmp_path / "grid.png")
    assert pixels_RCHW.shape[:2] == (8, 3)
    z_NZ = torch.randn(8, 8, generator=torch.Generator().manual_seed(7))
    generator = Generator(CONDITIONAL)
    fill_module(generator, unprefixed("generator_ema.", model))
    for row, column in ((0, 0), (0, 2), (7, 1)):
        x_NCHW = sample(generator, z_NZ[[row]], torch.tensor([column]))
        assert np.array_equal(pixels_RCHW[row, column], to_pixels(x_NCHW)[0, 0])


def test_beyond_the_last_class_the_first_follows(tmp_path):
    sample_grid(of_genesis(CONDITIONAL), tmp_path / "grid.png", rows=1, columns=4)
    (pixels_CHW,) = grid_of(tmp_path / "grid.png")
    assert np.array_equal(pixels_CHW[0], pixels_CHW[3])
    assert not np.array_equal(pixels_CHW[0], pixels_CHW[1])


def test_of_many_classes_a_grid_shows_the_first(tmp_path):
    options = replace(CONDITIONAL, classes=1000)
    sample_grid(of_genesis(options), tmp_path / "grid.png", rows=1)
    assert grid_of(tmp_path / "grid.png").shape[:2] == (1, MAX_COLUMNS)


def test_samples_have_the_classes_that_are_asked_for():
    conditional = of_genesis(CONDITIONAL)
    first, other = (
        draw_samples(conditional, 2, 0, np.array(labels)) for labels in ([0, 1], [0, 2])
    )
    assert np.array_equal(first[0], other[0])
    assert not np.array_equal(first[1], other[1])


def test_the_same_model_gives_the_same_picture_and_another_z_another(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        sample_grid(of_genesis(SMALL), tmp_path / name, seed)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c


def test_the_average_is_drawn_where_there_is_one(tmp_path):
    model = genesis(SMALL, 1)
    generator = {name: value for name, value in model.items() if name.startswith("generator.")}
    average = {name: value for name, value in model.items() if name.startswith("generator_ema.")}
    other = {name: np.zeros_like(value) for name, value in generator.items()}
    sample_grid(sampler(SMALL, generator, CPU), tmp_path / "generator.png")
    sample_grid(sampler(SMALL, {**other, **average}, CPU), tmp_path / "average.png")
    assert (tmp_path / "generator.png").read_bytes() == (tmp_path / "average.png").read_bytes()


def test_a_model_without_a_generator_cannot_be_drawn():
    model = {n: a for n, a in genesis(SMALL, 1).items() if n.startswith("discriminator.")}
    with pytest.raises(Misuse, match="no generator"):
        sampler(SMALL, model, CPU)
