"""Strictly: that a step is fit to be recorded once and replayed, as a GPU does. All of it is checked on a CPU.

A recording repeats the same operations on the same memory, and cannot contain a wait. On meta tensors, which have no
values, every wait is an error.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from bench.kernels import META, meta_examples, meta_training, observed, operations_of_steps
from knobs import classifier_options, flow_options, gan_options

from fl_node.learning import feed as feed_module
from fl_node.learning import genesis, kind_of
from fl_node.learning.drift import GradientTerms, SecondStream, Terms
from fl_node.learning.feed import CHOSEN, Feed, draw_steps
from fl_node.learning.recording import WARM_UP
from fl_node.learning.run import Runner
from fl_node.learning.steps import Batch, Pictures, to_pictures
from fl_node.learning.tensors import module_arrays
from fl_node.learning.workplace import Workplace
from fl_node.seeds import derive_seed

CPU = torch.device("cpu")
SMALL_GAN = {"latent": 8, "generator_width": 4, "discriminator_width": 4, "batch": 8}
OPTIONS = {
    "gan": gan_options(**SMALL_GAN),
    "gan, batch norm": gan_options(**SMALL_GAN, norm="batch", loss="bce", penalty=0.0),
    "gan, no norm": gan_options(**SMALL_GAN, norm="none", loss="hinge", ema_half_life=0),
    "gan, residual, conditional": gan_options(
        **SMALL_GAN, network="residual", norm="none", classes=10
    ),
    "flow": flow_options(width=4, batch=8, classes=10),
    "adam": classifier_options(width=4, batch=8, optimiser="adam"),
    "momentum": classifier_options(width=4, batch=8, momentum=0.9),
    "resnet18": classifier_options(width=4, batch=8, network="resnet18"),
}
EVERY = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


def learner_of(options):
    return kind_of(options).learner


def examples(options, count=20):
    random = np.random.default_rng(0)
    shape = (count, options.channels, options.size, options.size)
    pixels = torch.from_numpy(random.integers(0, 256, shape, np.uint8))
    return Pictures(pixels, torch.from_numpy(random.integers(0, 10, count)))


def all_terms(options, training, second_model):
    """Every term at once, at weights that are those of the training or near."""
    weights = genesis(options, 1)
    gradients = GradientTerms(training)
    gradients.set(weights, 0.1, weights)
    second = SecondStream(learner_of(options).features(second_model.requires_grad_(False)), 0.1)
    part = learner_of(options).opponent
    others = [meta_training(options).model for _ in range(2)] if part else []
    return Terms(
        second, gradients, tuple(other[part].requires_grad_(False).eval() for other in others)
    )


@EVERY
@pytest.mark.parametrize("with_terms", [False, True], ids=["plain", "every term"])
def test_every_step_is_the_same_list_of_operations_and_waits_for_nothing(options, with_terms):
    """A wait would raise: there is no value to wait for."""
    training = meta_training(options)
    terms = all_terms(options, training, meta_training(options).model) if with_terms else Terms()
    first, *later = operations_of_steps(options, 4, training, terms)
    assert len(first) > 50
    assert all(step == first for step in later)


def test_a_wait_on_the_meta_device_is_an_error():
    """What the test above rests on."""
    options = OPTIONS["adam"]
    waiting = torch.zeros(1, device="meta")
    learner = observed(learner_of(options), waiting.item, 3)
    with pytest.raises(RuntimeError, match="meta"):
        Runner(learner, meta_training(options), META).run(options, meta_examples(options), 3, 0)


def memory(place):
    """Where every tensor lies that a step reads or writes and that outlives it."""
    state = [
        value
        for optimiser in place.training.optimisers.values()
        for slots in optimiser.state.values()
        for value in slots.values()
    ]
    terms = [value for named in place.gradient_terms._memory.values() for value in named.values()]
    tensors = [*place.training.model.state_dict().values(), *state, *terms]
    return [(value.data_ptr(), value.stride()) for value in tensors]


@EVERY
def test_memory_stays_where_it_is_from_step_to_step_and_from_training_to_training(options):
    place, seen = Workplace(learner_of(options), options, CPU), []
    place.runner = Runner(
        observed(learner_of(options), lambda: seen.append(memory(place)), 6), place.training, CPU
    )
    weights = genesis(options, 1)
    for seed in (1, 2):
        place.resume(options, weights, None)
        place.gradient_terms.set(weights, 0.1, weights)
        terms = Terms(gradients=place.gradient_terms)
        place.runner.run(options, examples(options), 3, seed, terms)
    assert len(seen) == 6 and all(pointers == seen[0] for pointers in seen)


@EVERY
def test_the_engine_takes_the_steps_of_a_plain_loop(options):
    """The batches and draws of a loop without chunks, buffers or counters, and so the same bytes."""
    learner, pictures, steps, seed = learner_of(options), examples(options), 7, 5
    engine, plain = (
        Workplace(learner_of(options), options, CPU),
        Workplace(learner_of(options), options, CPU),
    )
    for place in (engine, plain):
        place.resume(options, genesis(options, 1), None)

    mean = engine.runner.run(options, pictures, steps, seed)

    batches = torch.Generator().manual_seed(derive_seed(seed, "batches"))
    passes = [torch.randperm(len(pictures), generator=batches) for _ in range(steps)]
    random = torch.Generator().manual_seed(seed)
    take, sums = learner.step(plain.training, options, Terms()), torch.zeros(len(learner.losses))
    for chosen in torch.cat(passes).split(options.batch)[:steps]:
        batch = Batch(
            to_pictures(pictures.pixels_NCHW[chosen]),
            pictures.labels_N[chosen],
            learner.draw(options, random),
        )
        sums += torch.stack(list(take(batch).values()))
    assert mean == sums.sum().item() / steps
    first, second = module_arrays(engine.training.model), module_arrays(plain.training.model)
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)


def test_a_feed_gives_what_was_drawn_again_and_again():
    options = OPTIONS["gan"]
    pictures, learner = examples(options), learner_of(options)
    drawn = draw_steps(learner, options, len(pictures), 3)
    steps = [next(drawn) for _ in range(5)]
    feed = Feed(steps[0], pictures)
    for chunk in (steps[:3], steps[3:]):
        feed.fill(chunk, pictures)
        for step in chunk:
            batch = feed.take()
            assert torch.equal(batch.x_NCHW, to_pictures(pictures.pixels_NCHW[step[CHOSEN]]))
            assert torch.equal(batch.labels_N, pictures.labels_N[step[CHOSEN]])
            assert batch.drawn.keys() == {"z_NZ"}
            assert torch.equal(batch.drawn["z_NZ"], step["z_NZ"])


def test_a_long_training_is_fed_in_chunks_to_the_same_bytes(monkeypatch):
    options, trained = OPTIONS["gan"], []
    for bytes_of_chunk in (feed_module.CHUNK_BYTES, 1, 3 * 8 * (32 * 32 + 8 * 4 + 16)):
        monkeypatch.setattr(feed_module, "CHUNK_BYTES", bytes_of_chunk)
        place = Workplace(learner_of(options), options, CPU)
        place.resume(options, genesis(options, 1), None)
        place.runner.run(options, examples(options), 8, 1)
        trained.append(module_arrays(place.training.model))
    for arrays in trained[1:]:
        assert all(arrays[name].tobytes() == trained[0][name].tobytes() for name in arrays)


class Recording:
    """Records as a GPU does, without taking the step; a replay is the step itself."""

    def __init__(self):
        self.recorded, self.replays = 0, 0

    def __call__(self, step):
        self.recorded += 1

        def replay():
            self.replays += 1
            step()

        return replay


def trained_with(record, options, terms_of=lambda place: Terms(), trainings=2):
    place = Workplace(learner_of(options), options, CPU)
    place.runner = Runner(learner_of(options), place.training, CPU, record)
    weights, arrays = genesis(options, 1), []
    for seed in range(trainings):
        place.resume(options, weights, None)
        place.runner.run(options, examples(options), 5, seed, terms_of(place))
        arrays.append(module_arrays(place.training.model))
    return arrays


def corrected(place):
    weights = genesis(place._options, 1)
    place.gradient_terms.set(weights, 0.1, weights)
    return Terms(gradients=place.gradient_terms)


def opposed(place):
    """Against two networks of other members, if the kind of model has opponents."""
    part = place.learner.opponent
    others = [
        {
            name: array
            for name, array in genesis(place._options, seed).items()
            if name.startswith(f"{part}.")
        }
        for seed in (8, 9)
    ]
    return Terms(opponents=place.opponents(others if part else []))


@EVERY
@pytest.mark.parametrize(
    "terms_of", [lambda place: Terms(), corrected, opposed], ids=["plain", "terms", "opponents"]
)
def test_a_recording_serves_every_training_and_takes_the_same_steps(options, terms_of):
    record = Recording()
    recorded = trained_with(record, options, terms_of)
    assert (record.recorded, record.replays) == (1, 2 * 5 - WARM_UP)
    for one, other in zip(recorded, trained_with(None, options, terms_of), strict=True):
        assert all(one[name].tobytes() == other[name].tobytes() for name in one)


def test_other_operations_are_another_recording_and_other_rates_are_not():
    options, record = OPTIONS["gan"], Recording()
    place = Workplace(learner_of(options), options, CPU)
    place.runner = Runner(learner_of(options), place.training, CPU, record)
    counts = []
    for changes in ({}, {"generator_rate": 1e-5}, {"penalty": 3.0}, {"beta2": 0.5}, {}):
        changed = replace(options, **changes)
        place.resume(changed, genesis(options, 1), None)
        place.runner.run(changed, examples(options), 5, 1)
        counts.append(record.recorded)
    assert counts == [1, 1, 2, 3, 3]
