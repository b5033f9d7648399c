"""The first weights, and which of them are shared."""

import hashlib
import math

import numpy as np
import pytest
from doubles import small_manifest
from hypothesis import given
from hypothesis import strategies as st
from knobs import gan_options

from fl_node.blobs.global_state import FLOAT32
from fl_node.blobs.tensors import Spec
from fl_node.errors import ManifestInvalid
from fl_node.learning import genesis, learning_options, shared_names, shared_part
from fl_node.learning.genesis import tensor_shapes
from fl_node.round.form import form_of

SMALL = gan_options(generator_width=4, discriminator_width=4, latent=8)
NAMES = ("discriminator.a.weight", "generator.a.bias", "generator.a.weight", "generator_ema.a.bias")


def test_the_same_seed_gives_the_same_bytes():
    first, second = genesis(SMALL, 5), genesis(SMALL, 5)
    assert first.keys() == second.keys()
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)


def test_another_seed_gives_other_weights():
    name = "generator.to_picture.weight"
    assert not np.array_equal(genesis(SMALL, 5)[name], genesis(SMALL, 6)[name])


def test_the_weights_of_seed_0_are_these_on_every_machine():
    weights = genesis(SMALL, 0)["generator.to_picture.weight"]
    digest = hashlib.sha256(weights.tobytes()).hexdigest()
    assert digest == "de0a767b4ad1b7b3e8e4f812cec751dfb24925db986470abd0a1fae7e3ed9ac4"


def test_convolutions_are_drawn_with_mean_0_and_deviation_002():
    weights = genesis(gan_options(), 1)["generator.blocks.to_8x8.conv.weight"]
    assert weights.dtype == np.float32
    assert abs(weights.mean()) < 1e-4
    assert weights.std() == pytest.approx(0.02, rel=0.01)
    assert abs(weights).max() <= 6 * 0.02


def test_residual_layers_keep_the_variance_and_branches_end_in_0():
    model = genesis(gan_options(network="residual", norm="none", generator_width=16), 1)
    stage = "generator.blocks.stage_8x8"
    assert model[f"{stage}.conv.weight"].std() == pytest.approx(64**-0.5, rel=0.05)
    assert model[f"{stage}.block.first.weight"].std() == pytest.approx((32 * 9) ** -0.5, rel=0.05)
    assert not model[f"{stage}.block.second.weight"].any()
    assert not model[f"{stage}.block.first.bias"].any()
    assert model["generator.to_picture.weight"].std() == pytest.approx(0.02, rel=0.3)


def test_the_generators_classes_are_drawn_like_z_and_the_discriminators_start_at_0():
    model = genesis(gan_options(classes=10, generator_width=4, discriminator_width=4), 1)
    vectors_KZ = model["generator.embedding.weight"]
    assert vectors_KZ.shape == (10, 100)
    assert vectors_KZ.std() == pytest.approx(1, rel=0.05)
    assert not model["discriminator.embedding.weight"].any()
    assert np.array_equal(model["generator_ema.embedding.weight"], vectors_KZ)


def test_norms_start_as_the_identity():
    model = genesis(gan_options(norm="batch", generator_width=4, discriminator_width=4), 1)
    block = "generator.blocks.to_4x4.norm."
    assert (model[block + "weight"] == 1).all() and (model[block + "running_var"] == 1).all()
    assert not model[block + "bias"].any() and not model[block + "running_mean"].any()


def test_the_average_starts_as_the_generator():
    model = genesis(SMALL, 3)
    averages = [name for name in model if name.startswith("generator_ema.")]
    assert averages
    for name in averages:
        assert np.array_equal(model[name], model[name.replace("generator_ema.", "generator.")])


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["*"], NAMES),
        (["generator.*"], NAMES[1:3]),
        (["generator*"], NAMES[1:]),
        (["*.bias", "discriminator.*"], (NAMES[0], NAMES[1], NAMES[3])),
    ],
)
def test_patterns_choose_what_is_shared(patterns, expected):
    assert shared_names(NAMES, patterns) == expected


def test_a_pattern_that_matches_nothing_is_refused_by_name():
    with pytest.raises(
        ManifestInvalid, match=r"share: 'encoder\.\*' matches no tensor.*generator\.\*"
    ):
        shared_names(NAMES, ["generator.*", "encoder.*"])


@given(st.permutations(NAMES), st.permutations(["generator.*", "*.bias"]))
def test_neither_order_changes_what_is_shared(names, patterns):
    assert shared_names(names, patterns) == shared_names(NAMES, ["*.bias", "generator.*"])


def test_the_shared_part_is_the_model_itself_where_everything_is_shared():
    model = genesis(SMALL, 1)
    assert shared_part(model, ["*"]).keys() == model.keys()


@pytest.mark.parametrize(
    ("size", "share", "saved"),
    [
        (32, ["*"], 0.38),
        (64, ["*"], 0.36),
        (32, ["generator*"], 0.5),
        (64, ["generator*"], 0.5),
    ],
)
def test_a_gans_update_is_smaller_by_its_average(size, share, saved):
    """With the default widths."""
    manifest = small_manifest(data={"size": size}, strategy={"share": share})
    options = learning_options(manifest)
    shapes = tensor_shapes(options)
    model = {name: Spec(shapes[name], FLOAT32) for name in shared_names(shapes, options.share)}
    sent = form_of(model, manifest.roles).encoded(())
    assert 1 - _elements(sent) / _elements(model) == pytest.approx(saved, abs=0.005)


def _elements(schema):
    return sum(math.prod(spec.shape) for spec in schema.values())
