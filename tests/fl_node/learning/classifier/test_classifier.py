"""A classifier: what it learns, what it keeps to itself, what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from knobs import classifier_options

from fl_node.errors import DataUnusable, Misuse
from fl_node.learner import Assignment
from fl_node.learning import (
    Images,
    genesis,
    load_images,
    load_test_images,
    make_learner,
    shared_part,
)
from fl_node.learning.classifier.evaluation import accuracy
from fl_node.learning.classifier.models import build
from fl_node.learning.data import split_held_out
from fl_node.learning.learner import MEASURED
from fl_node.learning.tensors import module_tensors

SMALL = classifier_options(width=4, classes=3, batch=8, held_out=0.25)
SEED = 3


def pictures(count=24, classes=3) -> Images:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (count, 1, 32, 32), np.uint8)
    return Images(pixels, random.permutation(np.arange(count) % classes))


def learner(options=SMALL, images=None):
    return make_learner(options, SEED, images or pictures(), "cpu", 1)


def rounds(options, seeds, one=None):
    """Several rounds of one member, each received as it was sent."""
    one = one or learner(options)
    model, private = shared_part(genesis(options, SEED), options.share), None
    for seed in seeds:
        trained = one.train(Assignment(model, private, seed, 3))
        model, private = trained.shared, trained.private
        yield trained


def assert_same_bytes(first, second):
    assert first.keys() == second.keys()
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)


def test_it_learns_to_read_digits_in_seconds():
    options = classifier_options(width=8, momentum=0.9)
    digits, unseen = load_images("digits", options), load_test_images("digits", options)
    model = genesis(options, SEED)
    before, _ = accuracy(options, model, unseen, "cpu")
    one = learner(options, digits)
    trained = one.train(Assignment(model, None, 1, one.steps_for(2)))
    after, loss = accuracy(options, trained.shared, unseen, "cpu")
    assert before < 0.5 and after > 0.9
    assert loss < one.measure(model, None).loss / 4


@pytest.mark.parametrize("changed", [{}, {"optimiser": "adam"}, {"network": "resnet18"}])
def test_the_same_input_gives_the_same_bytes(changed):
    options = replace(SMALL, **changed)
    first, second = (list(rounds(options, [1, 2]))[-1] for _ in range(2))
    assert_same_bytes(first.shared, second.shared)
    assert_same_bytes(first.private, second.private)
    assert first.training_loss == second.training_loss


@pytest.mark.parametrize(("optimiser", "momentum"), [("adam", 0.0), ("sgd", 0.9)])
def test_the_optimisers_state_is_kept_from_round_to_round(optimiser, momentum):
    options = replace(SMALL, optimiser=optimiser, momentum=momentum, rate=0.001)
    first, second = rounds(options, [1, 2])
    assert first.private
    forgetful = learner(options).train(Assignment(first.shared, None, 2, 3))
    assert not np.array_equal(second.shared["head.weight"], forgetful.shared["head.weight"])


@pytest.mark.parametrize(("optimiser", "momentum"), [("adam", 0.0), ("sgd", 0.9)])
def test_a_fresh_optimiser_forgets_the_last_round(optimiser, momentum):
    options = replace(SMALL, optimiser=optimiser, momentum=momentum, rate=0.001)
    (first,) = rounds(options, [1])
    again = Assignment(first.shared, first.private, 2, 3, fresh=True)
    fresh, unknown = (learner(options).train(one) for one in (again, replace(again, private=None)))
    assert_same_bytes(fresh.shared, unknown.shared)
    assert_same_bytes(fresh.private, unknown.private)


def test_the_loss_on_training_pictures_is_their_cross_entropy():
    images, model = pictures(), genesis(SMALL, SEED)
    _, kept = split_held_out(len(images.pixels_NCHW), SMALL.held_out, SEED)
    _, loss = accuracy(SMALL, model, images.subset(kept), "cpu")
    one = learner(images=images)
    assert one.measure(model, None, training=True).loss == pytest.approx(loss, rel=1e-5)
    assert one.measure(model, None).loss != pytest.approx(loss, rel=1e-5)


def test_of_many_training_pictures_the_same_few_are_measured():
    options = replace(SMALL, held_out=0.01)
    many = pictures(2 * MEASURED)
    first, again = (learner(options, many) for _ in range(2))
    model = genesis(options, SEED)
    loss = first.measure(model, None, training=True).loss
    assert loss == again.measure(model, None, training=True).loss
    _, kept = split_held_out(len(many.pixels_NCHW), options.held_out, SEED)
    everything = accuracy(options, model, many.subset(kept), "cpu")[1]
    assert loss == pytest.approx(everything, rel=0.05) and loss != everything


def test_plain_sgd_keeps_nothing():
    (trained,) = rounds(SMALL, [1])
    assert trained.private == {}


def test_a_head_that_is_not_shared_stays_with_its_member_over_rounds():
    options = replace(SMALL, share=("base.*",))
    first, second = rounds(options, [1, 2])
    assert all(name.startswith("base.") for name in first.shared)
    assert first.private.keys() == {"head.weight", "head.bias"}
    head = genesis(options, SEED)["head.weight"]
    assert not np.array_equal(head, first.private["head.weight"])
    still = learner(replace(options, rate=1e-9)).train(
        Assignment(first.shared, first.private, 2, 1)
    )
    np.testing.assert_allclose(
        still.private["head.weight"], first.private["head.weight"], atol=1e-6
    )
    assert not np.array_equal(first.private["head.weight"], second.private["head.weight"])


def test_measuring_takes_the_members_own_head():
    options = replace(SMALL, share=("base.*",))
    (trained,) = rounds(options, [1])
    one = learner(options)
    assert (
        one.measure(trained.shared, trained.private).loss != one.measure(trained.shared, None).loss
    )


def test_the_held_out_loss_of_an_even_guess_is_the_logarithm_of_the_classes():
    model = {**genesis(SMALL, SEED), "head.weight": np.zeros((3, 32), np.float32)}
    assert learner().measure(model, None).loss == pytest.approx(np.log(3))
    assert accuracy(SMALL, model, pictures(), "cpu")[1] == pytest.approx(np.log(3))


@pytest.mark.parametrize("sought", [0, 2])
def test_accuracy_counts_the_right_answers(sought):
    model = {**genesis(SMALL, SEED), "head.weight": np.zeros((3, 32), np.float32)}
    model["head.bias"] = np.eye(3, dtype=np.float32)[sought]
    images = pictures()
    share = (images.labels_N == sought).mean()
    assert accuracy(SMALL, model, images, "cpu")[0] == pytest.approx(share)


@pytest.mark.parametrize("network", ["cnn", "resnet18"])
@pytest.mark.parametrize(("size", "channels"), [(32, 1), (64, 3)])
def test_a_base_makes_features_and_a_head_classes(network, size, channels):
    options = replace(SMALL, network=network, size=size, channels=channels)
    model = build(options)
    features_ND = model["base"](torch.randn(2, channels, size, size))
    assert features_ND.shape == (2, 8 * options.width)
    assert model["head"](features_ND).shape == (2, 3)
    tensors = module_tensors(model)
    assert {name.partition(".")[0] for name in tensors} == {"base", "head"}
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}


def test_resnet18_has_the_published_number_of_parameters():
    with torch.device("meta"):
        model = build(classifier_options(network="resnet18", width=64, channels=3))
    assert sum(parameter.numel() for parameter in model.parameters()) == 11_173_962


def test_weights_are_drawn_by_their_number_of_inputs():
    model = genesis(classifier_options(width=32), 1)
    for name, inputs in {"base.block2.conv.weight": 9 * 32, "head.weight": 256}.items():
        assert model[name].std() == pytest.approx((2 / inputs) ** 0.5, rel=0.05)
    assert (model["base.block1.norm.weight"] == 1).all()
    assert not model["base.block1.norm.bias"].any() and not model["head.bias"].any()


def test_pictures_without_classes_are_refused():
    with pytest.raises(DataUnusable, match="have no classes"):
        learner(images=Images(pictures().pixels_NCHW, None))


def test_classes_that_the_model_does_not_know_are_refused():
    with pytest.raises(DataUnusable, match="expected 0 to 2, got 0 to 3"):
        learner(images=pictures(classes=4))


def test_a_model_of_other_classes_is_refused():
    with pytest.raises(Misuse, match=r"'head\.bias': expected float32 \(3,\)|'head\.weight'"):
        learner().measure(genesis(replace(SMALL, classes=4), SEED), None)
