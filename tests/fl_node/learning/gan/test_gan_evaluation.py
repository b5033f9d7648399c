"""The held-out loss: KID of a generator's samples, on the features of the manifest's extractor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from knobs import classifier_options, gan_options

from fl_node.errors import Misuse
from fl_node.learning import genesis
from fl_node.learning.classifier.evaluation import features
from fl_node.learning.extractor import random_weights
from fl_node.learning.gan.evaluation import MAX_REAL, SAMPLES, held_out_loss
from fl_node.learning.gan.models import build
from fl_node.learning.gan.options import GanOptions
from fl_node.learning.gan.samples import sampler
from fl_node.learning.sampling import draw_samples
from fl_node.learning.steps import Pictures, move_to, to_pictures
from fl_node.learning.tensors import fill_module
from fl_node.measures import kid
from fl_node.seeds import derive_seed

CPU = torch.device("cpu")
SEED = 3
OPTIONS = gan_options(
    latent=8, generator_width=4, discriminator_width=4, extractor=classifier_options(width=4)
)


def model_of(options: GanOptions = OPTIONS, seed: int = 1):
    model = build(options)
    fill_module(model, genesis(options, seed))
    return move_to(model, CPU)


def pictures(count: int, seed: int = 0) -> Pictures:
    random = np.random.default_rng(seed)
    return Pictures(torch.from_numpy(random.integers(0, 256, (count, 1, 32, 32), np.uint8)))


def samples_of(seed: int, count: int = 200) -> Pictures:
    drawer = sampler(OPTIONS, genesis(OPTIONS, 1), CPU)
    return Pictures(torch.from_numpy(draw_samples(drawer, count, seed)))


def test_it_is_the_kid_of_features_of_samples_from_a_fixed_z():
    held_out, weights = pictures(10), random_weights(OPTIONS.extractor, SEED)

    def seen(pixels_NCHW):
        return features(OPTIONS.extractor, weights, to_pictures(pixels_NCHW)).numpy()

    fake = samples_of(derive_seed(SEED, "held-out z"), SAMPLES)
    expected = kid(seen(fake.pixels_NCHW), seen(held_out.pixels_NCHW))
    assert held_out_loss(OPTIONS, model_of(), held_out, SEED) == pytest.approx(expected)


def test_a_generators_own_samples_are_at_0_from_it_and_noise_is_not():
    alike = [held_out_loss(OPTIONS, model_of(), samples_of(seed), SEED) for seed in range(5)]
    assert abs(np.mean(alike)) < 0.05 * held_out_loss(OPTIONS, model_of(), pictures(200), SEED)


def test_the_average_is_measured_where_there_is_one():
    arrays = genesis(OPTIONS, 1)
    moved = {
        name: array * 3 if name.startswith("generator_ema.") else array
        for name, array in arrays.items()
    }
    with_average, without = (
        held_out_loss(options, model, pictures(10), SEED)
        for options, model in (
            (OPTIONS, model_of()),
            (replace(OPTIONS, ema_half_life=0), model_of(replace(OPTIONS, ema_half_life=0))),
        )
    )
    assert with_average == without, "at genesis, the average is the generator"
    model = model_of()
    fill_module(model, moved)
    assert held_out_loss(OPTIONS, model, pictures(10), SEED) != without


def test_stored_weights_take_the_place_of_random_ones():
    loss = held_out_loss(OPTIONS, model_of(), pictures(10), SEED)
    same = replace(OPTIONS, extractor_weights=random_weights(OPTIONS.extractor, SEED))
    other = replace(OPTIONS, extractor_weights=random_weights(OPTIONS.extractor, SEED + 1))
    assert held_out_loss(same, model_of(), pictures(10), SEED) == loss
    assert held_out_loss(other, model_of(), pictures(10), SEED) != loss


def test_a_conditional_models_samples_have_the_held_out_pictures_classes():
    options = replace(OPTIONS, classes=3)
    model, labels_N = model_of(options), torch.tensor([2, 0, 2, 2])
    held_out = Pictures(pictures(4).pixels_NCHW, labels_N)
    seed, repeated = derive_seed(SEED, "held-out z"), np.resize(labels_N.numpy(), SAMPLES)
    fake = draw_samples(sampler(options, genesis(options, 1), CPU), SAMPLES, seed, repeated)
    weights = random_weights(options.extractor, SEED)

    def seen(pixels_NCHW):
        return features(options.extractor, weights, to_pictures(pixels_NCHW)).numpy()

    expected = kid(seen(torch.from_numpy(fake)), seen(held_out.pixels_NCHW))
    assert held_out_loss(options, model, held_out, SEED) == pytest.approx(expected)


def test_weights_of_another_network_are_refused():
    wider = random_weights(classifier_options(width=8), SEED)
    with pytest.raises(Misuse, match="expected float32"):
        held_out_loss(replace(OPTIONS, extractor_weights=wider), model_of(), pictures(4), SEED)


def test_of_many_pictures_the_first_so_many_count():
    many = pictures(MAX_REAL + 1)
    first = Pictures(many.pixels_NCHW[:MAX_REAL])
    model = model_of()
    assert held_out_loss(OPTIONS, model, many, SEED) == held_out_loss(OPTIONS, model, first, SEED)
