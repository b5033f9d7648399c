"""A member that trains a flow: same input, same bytes; every algorithm's term; what is shared and what stays."""

from dataclasses import replace

import numpy as np
import pytest
from knobs import flow_options

from fl_node.blobs.tensors import decode_tensors, encode_tensors
from fl_node.errors import DataUnusable, TrainingDiverged
from fl_node.learner import Assignment
from fl_node.learning import Images, genesis, make_learner, shared_part
from fl_node.manifest.learners import FlowLearner

OPTIONS = flow_options(width=4, batch=8, rate=0.01)
SEED = 11


def pictures(labels: bool = False) -> Images:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 1, 32, 32), np.uint8)
    return Images(pixels, np.arange(24) % 2 if labels else None)


def learner(options=OPTIONS, images=None):
    return make_learner(options, SEED, images or pictures(), device="cpu", threads=1)


def shared(options=OPTIONS):
    return shared_part(genesis(options, SEED), options.share)


def piece(model, private=None, seed=1, steps=3, **terms):
    return Assignment(model, private, seed, steps, **terms)


def assert_same_bytes(first, second):
    assert first.keys() == second.keys()
    for name in first:
        assert first[name].tobytes() == second[name].tobytes(), name


@pytest.mark.parametrize("share", [("*",), FlowLearner.body])
@pytest.mark.parametrize("classes", [0, 2])
def test_a_restart_from_stored_state_equals_going_on(share, classes):
    options, images = replace(OPTIONS, share=share, classes=classes), pictures(labels=True)
    one = learner(options, images)
    first = one.train(piece(shared(options)))
    going_on = one.train(piece(first.shared, first.private, seed=2))
    stored, _ = decode_tensors(encode_tensors(first.private))
    restarted = learner(options, images).train(piece(first.shared, stored, seed=2))
    assert_same_bytes(going_on.shared, restarted.shared)
    assert_same_bytes(going_on.private, restarted.private)
    assert going_on.training_loss == restarted.training_loss


def test_fedper_keeps_the_last_layer_and_the_optimiser():
    options = replace(OPTIONS, share=FlowLearner.body)
    trained = learner(options).train(piece(shared(options)))
    assert trained.shared.keys() == shared(options).keys()
    layers = {name for name in trained.private if not name.startswith("optimiser.")}
    assert all(".to_velocity." in name for name in layers) and len(layers) == 4
    assert any(trained.private["flow.to_velocity.weight"].ravel())


def test_training_moves_every_weight_and_the_average_of_each():
    trained = learner().train(piece(shared())).shared
    assert all(not np.array_equal(shared()[name], array) for name, array in trained.items())


TERMS = {"mu": 0.1, "discrepancy": 1.0, "correction": True}


def assignment(*names, seed=2):
    """A second piece of training, away from the received model, with some of the terms."""
    received = shared()
    first = learner().train(piece(received))
    terms = {name: TERMS[name] for name in names}
    if "correction" in terms:
        terms["correction"] = {name: np.full_like(a, 0.01) for name, a in received.items()}
    return piece(first.shared, first.private, seed, anchor=received, **terms)


@pytest.mark.parametrize("term", TERMS)
def test_each_term_changes_the_training_alone_and_beside_the_others(term):
    others = tuple(name for name in TERMS if name != term)
    for beside in ((), others):
        with_term = learner().train(assignment(*beside, term))
        without = learner().train(assignment(*beside))
        name = "flow.body.from_picture.weight"
        assert not np.array_equal(with_term.shared[name], without.shared[name])


def test_the_recorded_loss_has_no_added_terms():
    plain = learner().train(replace(assignment(), steps=1))
    loaded = learner().train(replace(assignment(*TERMS), steps=1))
    assert plain.training_loss == loaded.training_loss


def test_measuring_sees_the_held_out_pictures_only_and_a_trained_flow_is_better():
    one = learner()
    trained = one.train(piece(shared(), steps=30))
    before, after = (one.measure(model, None).loss for model in (shared(), trained.shared))
    assert after < before


def test_a_conditional_flow_needs_classes_in_range():
    options = replace(OPTIONS, classes=2)
    learner(options, pictures(labels=True))
    with pytest.raises(DataUnusable, match="the pictures have no classes"):
        learner(options)
    unknown = replace(pictures(labels=True), labels_N=np.arange(24))
    with pytest.raises(DataUnusable, match="expected 0 to 1, got 0 to 23"):
        learner(options, unknown)


def test_a_training_that_diverges_says_so():
    with pytest.raises(TrainingDiverged, match="no longer finite"):
        learner(replace(OPTIONS, rate=1e30)).train(piece(shared(), steps=20))
