"""Pictures out."""

import numpy as np
import pytest
from knobs import gan_options
from PIL import Image

from fl_node.errors import Misuse
from fl_node.learning import genesis
from fl_node.learning.gan.samples import sample_grid

SMALL = gan_options(generator_width=4, discriminator_width=4, latent=8)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_a_grid_has_rows_columns_and_gaps(tmp_path, channels, mode):
    options = gan_options(generator_width=4, discriminator_width=4, latent=8, channels=channels)
    sample_grid(options, genesis(options, 1), tmp_path / "grid.png", rows=2, columns=3)
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.format == "PNG" and grid.mode == mode
        assert grid.size == (3 * 32 + 2 * 2, 2 * 32 + 2)


def test_the_same_model_gives_the_same_picture_and_another_z_another(tmp_path):
    model = genesis(SMALL, 1)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        sample_grid(SMALL, model, tmp_path / name, seed)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c


def test_the_average_is_drawn_where_there_is_one(tmp_path):
    model = genesis(SMALL, 1)
    generator = {name: value for name, value in model.items() if name.startswith("generator.")}
    average = {name: value for name, value in model.items() if name.startswith("generator_ema.")}
    other = {name: np.zeros_like(value) for name, value in generator.items()}
    sample_grid(SMALL, generator, tmp_path / "generator.png")
    sample_grid(SMALL, {**other, **average}, tmp_path / "average.png")
    assert (tmp_path / "generator.png").read_bytes() == (tmp_path / "average.png").read_bytes()


def test_a_model_without_a_generator_cannot_be_drawn(tmp_path):
    model = {n: a for n, a in genesis(SMALL, 1).items() if n.startswith("discriminator.")}
    with pytest.raises(Misuse, match="no generator"):
        sample_grid(SMALL, model, tmp_path / "grid.png")
