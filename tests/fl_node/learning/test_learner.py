"""A round of training as a pure function: same input, same bytes; stopping between rounds changes nothing."""

import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from knobs import gan_options

from fl_node.blobs.tensors import decode_tensors, encode_tensors
from fl_node.errors import DataUnusable, DeviceUnusable, ManifestInvalid, Misuse, TrainingDiverged
from fl_node.learner import Assignment
from fl_node.learning import Images, genesis, make_learner, shared_part
from fl_node.learning.data import split_held_out
from fl_node.learning.gan.options import GanOptions

OPTIONS = gan_options(latent=8, generator_width=4, discriminator_width=4, batch=8)
SEED = 11


def pictures(count: int = 24) -> Images:
    return Images(np.random.default_rng(0).integers(0, 256, (count, 1, 32, 32), np.uint8), None)


def learner(options: GanOptions = OPTIONS, images: Images | None = None):
    return make_learner(options, SEED, images or pictures(), device="cpu", threads=1)


def shared(options: GanOptions = OPTIONS):
    return shared_part(genesis(options, SEED), options.share)


def piece(model, private, seed, steps=3, **pulls):
    return Assignment(model, private, seed, steps, **pulls)


def assert_same_bytes(first, second):
    assert first.keys() == second.keys()
    for name in first:
        assert first[name].tobytes() == second[name].tobytes(), name


@pytest.mark.parametrize("norm", ["batch", "group", "none"])
@pytest.mark.parametrize("loss", ["bce", "hinge", "relativistic"])
def test_the_same_input_gives_the_same_bytes(loss, norm):
    options = replace(OPTIONS, loss=loss, norm=norm)
    first, second = (learner(options).train(piece(shared(options), None, 1)) for _ in range(2))
    assert_same_bytes(first.shared, second.shared)
    assert_same_bytes(first.private, second.private)
    assert first.training_loss == second.training_loss


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("network", ["dcgan", "residual"])
def test_so_does_every_network_with_and_without_classes(network, classes):
    options = replace(OPTIONS, network=network, norm="none", classes=classes)
    images = Images(pictures().pixels_NCHW, np.arange(24) % 3)
    first, second = (
        learner(options, images).train(piece(shared(options), None, 1)) for _ in range(2)
    )
    assert_same_bytes(first.shared, second.shared)
    assert_same_bytes(first.private, second.private)


def test_only_the_vectors_of_a_members_own_classes_move():
    """What decision 22 says an update tells of its member."""
    options = replace(OPTIONS, classes=3, beta1=0.0)
    images = Images(pictures().pixels_NCHW, np.arange(24) % 2)
    start = shared(options)
    trained = learner(options, images).train(piece(start, None, 1)).shared
    for network in ("generator", "discriminator"):
        name = f"{network}.embedding.weight"
        assert (trained[name] != start[name]).any(axis=1).tolist() == [True, True, False]


def test_an_unconditional_gan_does_not_look_at_classes():
    labelled = Images(pictures().pixels_NCHW, np.arange(24) % 3)
    first, second = (
        learner(images=images).train(piece(shared(), None, 1)) for images in (labelled, pictures())
    )
    assert_same_bytes(first.shared, second.shared)


@pytest.mark.parametrize(
    ("labels_N", "reason"),
    [
        (None, "the pictures have no classes"),
        (np.arange(24) % 4, "expected 0 to 2, got 0 to 3"),
        (np.arange(24) % 4 - 1, "expected 0 to 2, got -1 to 2"),
    ],
)
def test_a_conditional_gan_refuses_pictures_without_known_classes(labels_N, reason):
    with pytest.raises(DataUnusable, match=reason):
        learner(replace(OPTIONS, classes=3), Images(pictures().pixels_NCHW, labels_N))


def test_another_seed_trains_another_model():
    first, second = (learner().train(piece(shared(), None, seed)) for seed in (1, 2))
    name = "generator.to_picture.weight"
    assert not np.array_equal(first.shared[name], second.shared[name])


@pytest.mark.parametrize("share", [("*",), ("generator.*",), ("discriminator.*",)])
def test_a_restart_from_stored_state_equals_going_on(share):
    options = replace(OPTIONS, share=share)
    one = learner(options)
    first = one.train(piece(shared(options), None, 1))
    going_on = one.train(piece(first.shared, first.private, 2))
    stored, _ = decode_tensors(encode_tensors(first.private))
    restarted = learner(options).train(piece(first.shared, stored, 2))
    assert_same_bytes(going_on.shared, restarted.shared)
    assert_same_bytes(going_on.private, restarted.private)


def test_the_optimisers_state_counts():
    first = learner().train(piece(shared(), None, 1))
    with_state = learner().train(piece(first.shared, first.private, 2))
    without = learner().train(piece(first.shared, None, 2))
    name = "generator.to_picture.weight"
    assert not np.array_equal(with_state.shared[name], without.shared[name])
    assert with_state.private["optimiser.step.generator.to_picture.weight"].tolist() == [6]


def test_what_is_shared_comes_back_as_it_came_and_the_rest_stays_private():
    options = replace(OPTIONS, share=("generator.*",))
    received = shared(options)
    trained = learner(options).train(piece(received, None, 1))
    assert {n: (a.shape, a.dtype) for n, a in trained.shared.items()} == {
        n: (a.shape, a.dtype) for n, a in received.items()
    }
    parts = {name.split(".")[0] for name in trained.private}
    assert parts == {"discriminator", "generator_ema", "optimiser"}


def test_the_received_arrays_are_not_changed():
    received = shared()
    before = {name: array.copy() for name, array in received.items()}
    for array in received.values():
        array.flags.writeable = False
    learner().train(piece(received, None, 1))
    assert_same_bytes(before, received)


def test_training_moves_every_shared_weight():
    received, trained = shared(), learner().train(piece(shared(), None, 1)).shared
    assert all(not np.array_equal(received[name], trained[name]) for name in received)


def test_examples_are_those_trained_on():
    assert learner(images=pictures(24)).train(piece(shared(), None, 1)).num_examples == 22


def test_held_out_pictures_never_reach_the_training():
    images = pictures()
    held_out, _ = split_held_out(24, OPTIONS.held_out, SEED)
    altered = Images(images.pixels_NCHW.copy(), None)
    altered.pixels_NCHW[held_out] = 0
    first, second = (
        learner(images=data).train(piece(shared(), None, 1)) for data in (images, altered)
    )
    assert_same_bytes(first.shared, second.shared)


def test_measuring_sees_the_held_out_pictures_only():
    images = pictures()
    held_out, kept = split_held_out(24, OPTIONS.held_out, SEED)
    values = []
    for altered in (held_out[:0], kept, held_out):
        pixels = images.pixels_NCHW.copy()
        pixels[altered] = 0
        values.append(learner(images=Images(pixels, None)).measure(shared(), None).loss)
    assert values[0] == values[1] != values[2]


def test_measuring_takes_unshared_weights_from_the_private_arrays():
    options = replace(OPTIONS, share=("discriminator.*",))
    trained = learner(options).train(piece(shared(options), None, 1))
    before, after = (
        learner(options).measure(trained.shared, private).loss
        for private in (None, trained.private)
    )
    assert before != after


def test_passes_over_the_data_are_counted_in_steps():
    counts = {8: 6, 12: 10, 24: 22}  # Pictures, and those of them that are trained on.
    steps = [learner(images=pictures(count)).steps_for(2) for count in counts]
    assert steps == [math.ceil(2 * kept / 8) for kept in counts.values()]


def test_progress_goes_up_to_the_last_step():
    seen = []
    learner().train(piece(shared(), None, 1), lambda *report: seen.append(report))
    assert [step for step, _, _ in seen] == sorted({step for step, _, _ in seen})
    step, steps, losses = seen[-1]
    assert (step, steps) == (3, 3) and losses.keys() == {"discriminator", "generator"}


def test_reported_losses_are_means_since_the_last_report():
    """Their weighted mean is the round's: each report speaks for its own stretch of steps, and none twice."""
    reports = []
    trained = learner().train(piece(shared(), None, 1, 45), lambda *report: reports.append(report))
    steps = [step for step, _, _ in reports]
    assert steps[-1] == 45
    sums = [losses["discriminator"] + losses["generator"] for _, _, losses in reports]
    assert all(value > 0.1 for value in sums)
    stretches = np.diff([0, *steps])
    assert np.average(sums, weights=stretches) == pytest.approx(trained.training_loss, rel=1e-5)


def test_a_learner_that_moves_to_another_process_trains_as_here():
    """Another process starts with torch's own number of threads."""
    one = learner()
    here = one.train(piece(shared(), None, 1))
    moved = pickle.loads(pickle.dumps(one))
    torch.set_num_threads(2)
    assert_same_bytes(here.shared, moved.train(piece(shared(), None, 1)).shared)
    assert torch.get_num_threads() == 1


def test_the_global_random_state_is_neither_read_nor_changed():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = learner().train(piece(shared(), None, 1))
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(1)
    assert_same_bytes(first.shared, learner().train(piece(shared(), None, 1)).shared)


def test_a_training_that_diverges_says_so():
    options = replace(OPTIONS, generator_rate=1e30, discriminator_rate=1e30, norm="none")
    with pytest.raises(TrainingDiverged, match="no longer finite at step"):
        learner(options).train(piece(shared(options), None, 1, 20))


def test_a_last_step_that_goes_to_infinity_is_not_kept():
    """The loss of that step was finite; what it made of the weights would be private state for ever."""
    options = replace(OPTIONS, generator_rate=1e39)
    with pytest.raises(TrainingDiverged, match=r"generator.* is no longer finite"):
        learner(options).train(piece(shared(), None, 1, 1))


def test_a_model_that_is_not_the_manifests_is_refused():
    lacking, other, wide = shared(), shared(), shared()
    lacking.pop("generator.to_picture.weight")
    other["generator.to_picture.weight"] = np.zeros((1, 2), np.float32)
    wide["generator.to_picture.weight"] = wide["generator.to_picture.weight"].astype(np.float64)
    with pytest.raises(Misuse, match=r"first in 'generator\.to_picture\.weight'"):
        learner().train(piece(lacking, None, 1))
    for model in (other, wide):
        with pytest.raises(Misuse, match="expected float32"):
            learner().train(piece(model, None, 1))


def test_private_state_that_lacks_something_is_refused():
    first = learner().train(piece(shared(), None, 1))
    private = {n: a for n, a in first.private.items() if not n.startswith("optimiser.step.")}
    with pytest.raises(Misuse, match=r"lacks 'optimiser\.step\.generator\..*'"):
        learner().train(piece(first.shared, private, 2))


def test_too_few_pictures_a_wrong_shape_or_pattern_or_device_are_refused():
    with pytest.raises(DataUnusable, match="at least 4"):
        learner(images=pictures(3))
    with pytest.raises(DataUnusable, match="expected uint8"):
        learner(replace(OPTIONS, size=64))
    with pytest.raises(ManifestInvalid, match="matches no tensor"):
        learner(replace(OPTIONS, share=("encoder.*",)))
    for device in ("abacus", "cuda:99"):
        with pytest.raises(DeviceUnusable, match=r"usable are: .*cpu"):
            make_learner(OPTIONS, SEED, pictures(), device=device)


def test_a_half_life_in_rounds_is_as_many_steps_as_the_round_has():
    """A member that keeps its generator to itself keeps its average too."""
    private = replace(OPTIONS, share=("discriminator.*",))
    in_steps = replace(private, ema_half_life=12)
    in_rounds = replace(private, ema_half_life=3, ema_unit="rounds")
    one, other = (
        learner(options).train(piece(shared(options), None, 5, steps=4))
        for options in (in_steps, in_rounds)
    )
    assert_same_bytes(one.private, other.private)


SHARED = ("generator*",)


def discriminator_of(seed: int):
    model = genesis(replace(OPTIONS, share=SHARED), seed)
    return {name: array for name, array in model.items() if name.startswith("discriminator.")}


def train_against(*opponents, **changes):
    options = replace(OPTIONS, share=SHARED, **changes)
    assignment = piece(shared(options), None, 5, opponents=opponents)
    return learner(options).train(assignment)


@pytest.mark.parametrize("loss", ["bce", "hinge", "relativistic"])
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_opponents_move_the_generator_and_only_through_it_the_own_discriminator(loss, norm):
    model = genesis(replace(OPTIONS, norm=norm), 9)
    other = {name: array for name, array in model.items() if name.startswith("discriminator.")}
    alone, against = train_against(loss=loss, norm=norm), train_against(other, loss=loss, norm=norm)
    assert alone.shared.keys() == against.shared.keys()
    name = "generator.to_picture.weight"
    assert (alone.shared[name] != against.shared[name]).any()
    assert_same_bytes(model, genesis(replace(OPTIONS, norm=norm), 9))


def test_the_order_of_the_opponents_hardly_matters_and_nothing_of_them_is_kept():
    one, other = discriminator_of(8), discriminator_of(9)
    first, second = train_against(one, other), train_against(other, one)
    for name, array in first.shared.items():
        assert array == pytest.approx(second.shared[name], abs=1e-4)
    assert_same_bytes(train_against().private, train_against().private)


@pytest.mark.parametrize("loss", ["bce", "hinge", "relativistic"])
@pytest.mark.parametrize("factor", [1e3, 1e10, 1e38])
def test_a_hostile_opponent_neither_ends_the_training_nor_takes_it_over(loss, factor):
    """A discriminator that is steeper by so much, up to overflow, hardly changes the loss by the member's own."""
    steep = {
        name: np.clip(array * np.float32(factor), -3e38, 3e38)
        for name, array in discriminator_of(8).items()
    }
    trained = train_against(steep, loss=loss)
    assert math.isfinite(trained.training_loss)
    assert trained.training_loss == pytest.approx(train_against(loss=loss).training_loss, abs=0.5)


def test_the_networks_of_another_model_are_no_opponents():
    with pytest.raises(Misuse):
        train_against({"discriminator.weight": np.zeros(3, np.float32)})
