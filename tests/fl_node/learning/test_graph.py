"""The CUDA graph: the steps that it replays are those that are taken without it, within the device's precision."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from knobs import classifier_options, gan_options

from fl_node.learning import genesis, kind_of
from fl_node.learning.drift import Terms
from fl_node.learning.run import Runner
from fl_node.learning.steps import Pictures
from fl_node.learning.tensors import module_arrays
from fl_node.learning.workplace import Workplace

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU with CUDA")

OPTIONS = {
    "gan": gan_options(generator_width=16, discriminator_width=16, batch=16),
    "gan, no norm": gan_options(generator_width=16, discriminator_width=16, batch=16, norm="none"),
    "classifier": classifier_options(width=8, batch=16, momentum=0.9),
    "adam": classifier_options(width=8, batch=16, optimiser="adam"),
}
EVERY = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


def gpu():
    return torch.device("cuda")


def examples(options, count=64):
    random = np.random.default_rng(0)
    shape = (count, options.channels, options.size, options.size)
    pixels = torch.from_numpy(random.integers(0, 256, shape, np.uint8))
    labels = torch.from_numpy(random.integers(0, 10, count))
    return Pictures(pixels.to(gpu()), labels.to(gpu()))


def trained(options, records, steps=20, with_terms=False, rates=(1.0, 1.0)):
    """The weights after each of two trainings that start from the same ones."""
    learner, weights = kind_of(options).learner, genesis(options, 1)
    place = Workplace(learner, options, gpu())
    if not records:
        place.runner = Runner(learner, place.training, gpu())
    arrays = []
    for seed, factor in enumerate(rates):
        slower = replace(
            options, **{name: factor * getattr(options, name) for name in learner.rates}
        )
        place.resume(slower, weights, None)
        small = {name: array * np.float32(0.01) for name, array in weights.items()}
        place.gradient_terms.set(weights, 0.1 * with_terms, small if with_terms else None)
        terms = Terms(gradients=place.gradient_terms)
        place.runner.run(slower, examples(options), steps, seed, terms)
        arrays.append(module_arrays(place.training.model))
    return arrays


def distance(one, other):
    """Of the changes of all tensors, in relation to their length."""
    differing = sum(float(np.square(one[name] - other[name]).sum()) for name in one)
    return (differing / sum(float(np.square(one[name]).sum()) for name in one)) ** 0.5


@EVERY
@pytest.mark.parametrize("with_terms", [False, True], ids=["plain", "terms"])
def test_a_graph_takes_the_steps_of_the_loop(options, with_terms):
    pairs = zip(
        trained(options, True, with_terms=with_terms),
        trained(options, False, with_terms=with_terms),
        strict=True,
    )
    assert all(distance(eager, graph) < 1e-3 for graph, eager in pairs)


@EVERY
def test_a_graph_reads_the_rate_of_the_round(options):
    still = trained(options, True, rates=(1.0, 0.0))[1]
    names = dict(kind_of(options).learner.build(options).named_parameters())
    start = genesis(options, 1)
    assert all(np.array_equal(still[name], start[name]) for name in names if "ema" not in name)
