"""The two networks: sizes, shapes, names."""

import pytest
import torch
from knobs import gan_options

from fl_node.learning.gan.models import Discriminator, Generator, build
from fl_node.learning.tensors import module_tensors

PUBLISHED = gan_options(channels=3, size=64, norm="batch")


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_at_64x64_the_networks_have_dcgans_number_of_parameters():
    assert parameters(Generator(PUBLISHED)) == 3_576_704
    assert parameters(Discriminator(PUBLISHED)) == 2_765_568


@pytest.mark.parametrize("norm", ["batch", "group", "none"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [32, 64])
def test_latents_become_pictures_and_pictures_become_logits(size, channels, norm):
    options = gan_options(
        channels=channels, size=size, norm=norm, generator_width=4, discriminator_width=6
    )
    x_NCHW = Generator(options)(torch.randn(2, options.latent))
    assert x_NCHW.shape == (2, channels, size, size)
    assert x_NCHW.abs().max() <= 1
    assert Discriminator(options)(x_NCHW).shape == (2,)


@pytest.mark.parametrize("norm", ["batch", "group", "none"])
def test_every_exchanged_tensor_is_a_float32(norm):
    tensors = module_tensors(
        build(gan_options(norm=norm, generator_width=4, discriminator_width=4))
    )
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    assert not any("num_batches_tracked" in name for name in tensors)


def test_an_average_is_kept_only_where_it_has_a_half_life():
    assert "generator_ema" in build(gan_options(ema_half_life=1))
    assert "generator_ema" not in build(gan_options(ema_half_life=0))
