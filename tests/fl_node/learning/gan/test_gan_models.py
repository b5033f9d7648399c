"""The two networks: sizes, shapes, names."""

from dataclasses import replace

import pytest
import torch
from knobs import gan_options

from fl_node.learning import genesis
from fl_node.learning.gan.models import Discriminator, Generator, build
from fl_node.learning.gan.residual import Residual
from fl_node.learning.tensors import fill_module, module_tensors

PUBLISHED = gan_options(channels=3, size=64, norm="batch")


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_at_64x64_the_networks_have_dcgans_number_of_parameters():
    assert parameters(Generator(PUBLISHED)) == 3_576_704
    assert parameters(Discriminator(PUBLISHED)) == 2_765_568


NETWORKS = [("dcgan", "batch"), ("dcgan", "group"), ("dcgan", "none"), ("residual", "none")]
CLASSES = torch.tensor([0, 2])


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize(("network", "norm"), NETWORKS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [32, 64])
def test_latents_become_pictures_and_pictures_become_logits(size, channels, network, norm, classes):
    options = gan_options(
        channels=channels,
        size=size,
        network=network,
        norm=norm,
        classes=classes,
        generator_width=4,
        discriminator_width=6,
    )
    labels_N = CLASSES if classes else None
    x_NCHW = Generator(options)(torch.randn(2, options.latent), labels_N)
    assert x_NCHW.shape == (2, channels, size, size)
    assert x_NCHW.abs().max() <= 1
    discriminator = Discriminator(options)
    assert discriminator.features(x_NCHW).shape == (2, 6 * size // 8, 4, 4)
    assert discriminator(x_NCHW, labels_N).shape == (2,)


@pytest.mark.parametrize(("network", "norm"), NETWORKS)
def test_every_exchanged_tensor_is_a_float32(network, norm):
    options = gan_options(network=network, norm=norm, classes=2)
    tensors = module_tensors(build(replace(options, generator_width=4, discriminator_width=4)))
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    assert not any("num_batches_tracked" in name for name in tensors)


def test_an_average_is_kept_only_where_it_has_a_half_life():
    assert "generator_ema" in build(gan_options(ema_half_life=1))
    assert "generator_ema" not in build(gan_options(ema_half_life=0))


def conditional(network: str = "dcgan", **changes):
    options = gan_options(network=network, norm="none", classes=3, latent=8, **changes)
    return replace(options, generator_width=4, discriminator_width=4)


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def at_genesis(options, seed: int = 1):
    model = build(options)
    fill_module(model, genesis(options, seed))
    return model


@pytest.mark.parametrize("network", ["dcgan", "residual"])
def test_another_class_is_another_picture_of_the_same_z(network):
    generator = at_genesis(conditional(network))["generator"]
    x_NCHW = generator(torch.ones(3, 8), torch.arange(3))
    assert not torch.equal(x_NCHW[0], x_NCHW[1]) and not torch.equal(x_NCHW[1], x_NCHW[2])
    torch.testing.assert_close(generator(torch.ones(2, 8), torch.tensor([2, 0])), x_NCHW[[2, 0]])


@pytest.mark.parametrize("network", ["dcgan", "residual"])
def test_at_first_the_discriminator_judges_without_the_class(network):
    discriminator = at_genesis(conditional(network))["discriminator"]
    x_NCHW = drawn(3, 1, 32, 32)
    torch.testing.assert_close(discriminator(x_NCHW, torch.arange(3)), discriminator(x_NCHW))


def test_the_projection_adds_the_classes_vector_times_the_mean_features():
    discriminator = at_genesis(conditional())["discriminator"]
    discriminator.embedding.weight.data = drawn(3, 16)
    x_NCHW, labels_N = drawn(3, 1, 32, 32), torch.tensor([2, 0, 2])
    features_NCHW = discriminator.features(x_NCHW)
    added = [
        (discriminator.embedding.weight[label] * feature_CHW.mean(dim=(1, 2))).sum()
        for label, feature_CHW in zip(labels_N, features_NCHW, strict=True)
    ]
    torch.testing.assert_close(
        discriminator(x_NCHW, labels_N), discriminator(x_NCHW) + torch.stack(added)
    )


@pytest.mark.parametrize("size", [32, 64])
def test_residual_branches_start_at_0_and_the_rest_keeps_the_scale_of_what_goes_in(size):
    options = gan_options(network="residual", norm="none", size=size)
    model = at_genesis(replace(options, generator_width=8, discriminator_width=8))
    for block in (module for module in model.modules() if isinstance(module, Residual)):
        x_NCHW = drawn(1, block.first.in_channels, 4, 4)
        assert torch.equal(block(x_NCHW), x_NCHW)
        assert 0.5 < block.first(x_NCHW).std() < 1.5
    maps_NCHW = model["generator"].blocks(drawn(64, options.latent, 1, 1))
    assert 0.2 < maps_NCHW.std() < 1, "resampling averages neighbours"
