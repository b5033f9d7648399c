"""A workplace: built once, shared by the members that take turns in it, and without a trace of who was there before."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from knobs import classifier_options, gan_options

from fl_node.errors import TrainingDiverged
from fl_node.learner import Assignment
from fl_node.learning import Images, genesis, kind_of, make_learner
from fl_node.learning.workplace import workplace as workplace_of

CPU = torch.device("cpu")
GAN = gan_options(latent=8, generator_width=4, discriminator_width=4, batch=8, norm="batch")
MOMENTUM = classifier_options(width=4, batch=8, momentum=0.9)
BOTH = pytest.mark.parametrize("options", [GAN, MOMENTUM], ids=["gan", "momentum"])


def workplace(options, device):
    return workplace_of(kind_of(options).learner, options, device)


def learner(options, seed=0):
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (24, 1, 32, 32), np.uint8)
    return make_learner(options, 1, Images(pixels, random.integers(0, 10, 24)), "cpu", 1)


def train(one, options, **terms):
    return one.train(Assignment(genesis(options, 1), None, 1, 3, **terms))


def assert_same_bytes(first, second):
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)


@BOTH
def test_it_is_built_once_for_all_members_of_a_thread(options):
    place = workplace(options, CPU)
    for seed in range(2):
        train(learner(options, seed), options)
    assert workplace(options, CPU) is place
    assert workplace(replace(options, batch=4), CPU) is not place


def test_an_extractors_weights_are_no_reason_to_build_it_anew():
    place = workplace(replace(GAN, extractor_weights={"w": np.zeros(2)}), CPU)
    assert workplace(replace(GAN, extractor_weights={"w": np.ones(2)}), CPU) is place


def test_each_thread_has_its_own():
    with ThreadPoolExecutor(1) as other:
        elsewhere = other.submit(workplace, GAN, CPU).result()
    assert elsewhere is not workplace(GAN, CPU)


@BOTH
def test_a_member_leaves_no_trace(options):
    alone = train(learner(options), options)
    weights = genesis(options, 1)
    large = {name: array + 1 for name, array in weights.items()}
    train(learner(options, 1), options, anchor=large, mu=1.0, discrepancy=1.0, correction=large)
    learner(options, 2).measure(weights, None)
    after = train(learner(options), options)
    assert_same_bytes(alone.shared, after.shared)
    assert_same_bytes(alone.private, after.private)
    assert alone.training_loss == after.training_loss


@BOTH
def test_a_training_that_diverged_leaves_no_trace(options):
    alone = train(learner(options), options)
    endless = {name: np.full_like(array, 1e38) for name, array in genesis(options, 1).items()}
    with pytest.raises(TrainingDiverged):
        train(learner(options), options, correction=endless)
    assert_same_bytes(alone.shared, train(learner(options), options).shared)
