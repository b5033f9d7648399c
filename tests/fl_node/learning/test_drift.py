"""Terms against drift: what they add to a training, and that without them it is the plain one."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from knobs import classifier_options, gan_options

from fl_node.errors import Misuse, TrainingDiverged
from fl_node.learner import Assignment
from fl_node.learning import Images, genesis, make_learner, shared_part
from fl_node.learning.drift import SecondStream, squared_mmd

GAN = gan_options(latent=8, generator_width=4, discriminator_width=4, batch=8)
CLASSIFIER = classifier_options(width=4, classes=3, batch=8, rate=0.1)
BOTH = pytest.mark.parametrize("options", [GAN, CLASSIFIER], ids=["gan", "classifier"])
SEED = 5


def learner(options):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (24, 1, 32, 32), np.uint8)
    return make_learner(options, SEED, Images(pixels, random.integers(0, 3, 24)), "cpu", 1)


def shared(options):
    return shared_part(genesis(options, SEED), options.share)


def train(options, steps=4, private=None, **terms):
    return learner(options).train(Assignment(shared(options), private, 1, steps, **terms))


def distance(first, second, prefix=""):
    names = [name for name in first if name.startswith(prefix)]
    return sum(float(np.square(first[name] - second[name]).sum()) for name in names) ** 0.5


def assert_same_bytes(first, second):
    assert first.keys() == second.keys()
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)


@BOTH
def test_terms_of_weight_0_leave_the_plain_training_bit_for_bit(options):
    plain = train(options)
    terms = train(options, anchor=shared(options), mu=0.0, discrepancy=0.0)
    assert_same_bytes(plain.shared, terms.shared)
    assert_same_bytes(plain.private, terms.private)
    assert plain.training_loss == terms.training_loss


@BOTH
def test_a_correction_of_0_leaves_the_plain_training_bit_for_bit(options):
    zeros = {name: np.zeros_like(array) for name, array in shared(options).items()}
    plain, corrected = train(options), train(options, correction=zeros)
    assert_same_bytes(plain.shared, corrected.shared)
    assert plain.mean_gradient is None


@BOTH
def test_terms_are_as_repeatable_as_the_plain_training(options):
    model = shared(options)
    correction = {name: np.full_like(array, 1e-3) for name, array in model.items()}
    first, second = (
        train(options, mu=0.1, discrepancy=1.0, correction=correction) for _ in range(2)
    )
    assert_same_bytes(first.shared, second.shared)
    assert_same_bytes(first.private, second.private)
    assert_same_bytes(first.mean_gradient, second.mean_gradient)


def test_the_proximal_pull_keeps_a_training_near_the_received_model():
    model = shared(CLASSIFIER)
    distances = [distance(train(CLASSIFIER, 8, mu=mu).shared, model) for mu in (0, 1, 5)]
    assert distances[0] > distances[1] > distances[2] > 0


def test_the_proximal_pull_acts_on_both_networks_of_a_gan():
    model, plain, pulled = shared(GAN), train(GAN), train(GAN, mu=10.0)
    # The first step starts at the anchor, where the pull is 0.
    assert_same_bytes(train(GAN, 1).shared, train(GAN, 1, mu=10.0).shared)
    for network in ("generator.", "discriminator."):
        assert distance(plain.shared, pulled.shared, network) > 0
        assert distance(pulled.shared, model, network) < distance(plain.shared, model, network)


def test_the_pull_goes_to_the_anchor_where_one_is_given():
    anchor = {name: array + 1 for name, array in shared(CLASSIFIER).items()}
    plain = train(CLASSIFIER).shared
    pulled = train(CLASSIFIER, anchor=anchor, mu=1.0).shared
    assert distance(pulled, anchor) < 0.9 * distance(plain, anchor)


def test_what_is_not_shared_is_not_pulled():
    """Adam's first step has the rate's length whatever the gradient's, and the anchor is another model here."""
    options = replace(GAN, share=("generator.*",))
    anchor = {name: array + 1 for name, array in shared(options).items()}
    plain, pulled = train(options, 1), train(options, 1, anchor=anchor, mu=1.0)
    own = "discriminator."
    assert distance(plain.private, pulled.private, own) == 0
    assert distance(plain.shared, pulled.shared) > 0


def test_one_step_of_sgd_subtracts_gradient_pull_and_correction():
    model = shared(CLASSIFIER)
    anchor = {name: array - 0.5 for name, array in model.items()}
    correction = {name: np.full_like(array, 0.25) for name, array in model.items()}
    plain = train(CLASSIFIER, 1).shared
    changed = train(CLASSIFIER, 1, anchor=anchor, mu=0.3, correction=correction).shared
    for name in model:
        expected = plain[name] - CLASSIFIER.rate * (0.3 * 0.5 + 0.25)
        np.testing.assert_allclose(changed[name], expected, atol=1e-6)


def test_under_sgd_the_mean_corrected_gradient_is_the_distance_gone():
    """SCAFFOLD's second option for its variates rests on this (arXiv:1910.06378, equation 4)."""
    model, steps = shared(CLASSIFIER), 5
    random = np.random.default_rng(1)
    correction = {
        name: random.normal(0, 0.01, array.shape).astype(np.float32)
        for name, array in model.items()
    }
    trained = train(CLASSIFIER, steps, correction=correction)
    for name, start in model.items():
        gone = (start - trained.shared[name]) / (steps * CLASSIFIER.rate)
        expected = trained.mean_gradient[name] + correction[name]
        np.testing.assert_allclose(gone, expected, atol=1e-5)


def test_gradients_are_0_for_what_no_gradient_reaches():
    options = replace(GAN, norm="batch")
    zeros = {name: np.zeros_like(array) for name, array in shared(options).items()}
    means = train(options, correction=zeros).mean_gradient
    assert {n: (a.shape, a.dtype) for n, a in means.items()} == {
        n: (a.shape, a.dtype) for n, a in zeros.items()
    }
    for name, mean in means.items():
        reached = not name.startswith("generator_ema.") and "running" not in name
        assert mean.any() == reached, name


@BOTH
def test_the_discrepancy_pulls_features_to_the_received_models(options):
    """At first the two models are one, so that the term's slope is 0."""
    one, one_with = train(options, 1), train(options, 1, discrepancy=10.0)
    for name in one.shared:
        np.testing.assert_allclose(one.shared[name], one_with.shared[name], atol=1e-5)
    several, several_with = train(options), train(options, discrepancy=10.0)
    assert distance(several.shared, several_with.shared) > 1e-5
    assert several_with.training_loss == pytest.approx(several.training_loss, rel=0.5)


def test_the_received_discriminator_is_the_members_own_where_none_is_shared():
    options = replace(GAN, share=("generator.*",))
    first = train(options)
    anchor = {name: np.zeros_like(array) for name, array in shared(options).items()}
    for private in (None, first.private):
        trained = train(options, private=private, discrepancy=1.0)
        other = train(options, private=private, discrepancy=1.0, anchor=anchor)
        assert_same_bytes(trained.private, other.private)


@pytest.mark.parametrize("term", ["anchor", "correction"])
def test_terms_of_another_model_are_refused(term):
    lacking = shared(CLASSIFIER)
    lacking.pop("head.bias")
    short = {**shared(CLASSIFIER), "head.bias": np.zeros(1, np.float32)}
    with pytest.raises(Misuse, match=r"first in 'head\.bias'"):
        train(CLASSIFIER, mu=1.0, **{term: lacking})
    with pytest.raises(Misuse, match=r"'head\.bias': expected float32 \(3,\), got float32 \(1,\)"):
        train(CLASSIFIER, mu=1.0, **{term: short})


def test_a_pull_that_is_too_strong_diverges_with_one_line():
    anchor = {name: array + 1 for name, array in shared(CLASSIFIER).items()}
    with pytest.raises(TrainingDiverged, match="no longer finite"):
        train(CLASSIFIER, 40, anchor=anchor, mu=1e4)


def samples(seed, count=16, width=5):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


@given(st.integers(0, 1000), st.integers(1, 20), st.floats(0, 100))
def test_the_discrepancy_of_equal_samples_is_0_and_of_others_between_0_and_2(seed, count, offset):
    x_ND, y_ND = samples(seed, count), samples(seed + 1, count) + offset
    assert squared_mmd(x_ND, x_ND).item() == pytest.approx(0, abs=1e-5)
    assert -1e-5 < squared_mmd(x_ND, y_ND).item() <= 2
    torch.testing.assert_close(squared_mmd(x_ND, y_ND), squared_mmd(y_ND, x_ND))


def test_the_discrepancy_grows_with_the_distance():
    values = [squared_mmd(samples(0), samples(1) + offset).item() for offset in (0, 1, 3)]
    assert values[0] < values[1] < values[2]


def test_the_discrepancy_of_two_points_is_worked_out_by_hand():
    # Squared distances 0, 4, 4, 0: mean 2, so that the kernels see 4 / (2 width).
    widths = np.array([0.25, 0.5, 1, 2, 4])
    expected = 2 - 2 * np.exp(-2 / widths).mean()
    actual = squared_mmd(torch.tensor([[1.0]]), torch.tensor([[3.0]])).item()
    assert actual == pytest.approx(expected)


def test_features_that_are_all_alike_have_no_discrepancy_and_a_finite_slope():
    x_ND = torch.ones(4, 3, requires_grad=True)
    value = squared_mmd(x_ND, torch.ones(4, 3))
    value.backward()
    assert value.item() == 0 and torch.isfinite(x_ND.grad).all()


def test_the_discrepancy_is_worked_out_in_full_precision_among_steps_in_half():
    x_ND, trained_ND = samples(0), samples(1)
    second = SecondStream(lambda x_ND: x_ND, 2.0)
    with torch.autocast("cpu", torch.bfloat16):
        among = second.term(x_ND, trained_ND)
    assert among == 2 * squared_mmd(trained_ND, x_ND)
