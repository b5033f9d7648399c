"""A round of training as a pure function: same input, same bytes; stopping between rounds changes nothing."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from fl_node.errors import DataUnusable, DeviceUnusable, ManifestInvalid, Misuse, TrainingDiverged
from fl_node.learning import GanOptions, Images, genesis, make_learner, shared_part
from fl_node.learning.tensors import adam_arrays, fill_adam, fill_module, module_arrays
from fl_node.tensors import decode_tensors, encode_tensors

OPTIONS = GanOptions(
    latent=8, generator_width=4, discriminator_width=4, batch=8, steps=3, epochs=None
)
SEED = 11


def pictures(count: int = 24) -> Images:
    return Images(np.random.default_rng(0).integers(0, 256, (count, 1, 32, 32), np.uint8), None)


def learner(options: GanOptions = OPTIONS, images: Images | None = None):
    return make_learner(options, SEED, images or pictures(), device="cpu", threads=1)


def shared(options: GanOptions = OPTIONS):
    return shared_part(genesis(options, SEED), options.share)


def assert_same_bytes(first, second):
    assert first.keys() == second.keys()
    for name in first:
        assert first[name].tobytes() == second[name].tobytes(), name


@pytest.mark.parametrize("norm", ["batch", "group", "none"])
@pytest.mark.parametrize("loss", ["bce", "hinge", "relativistic"])
def test_the_same_input_gives_the_same_bytes(loss, norm):
    options = replace(OPTIONS, loss=loss, norm=norm)
    first, second = (learner(options).train(shared(options), None, 1) for _ in range(2))
    assert_same_bytes(first.shared, second.shared)
    assert_same_bytes(first.private, second.private)
    assert first.training_loss == second.training_loss
    assert first.held_out_loss == second.held_out_loss


def test_another_seed_trains_another_model():
    first, second = (learner().train(shared(), None, seed) for seed in (1, 2))
    name = "generator.to_picture.weight"
    assert not np.array_equal(first.shared[name], second.shared[name])


@pytest.mark.parametrize("share", [("*",), ("generator.*",), ("discriminator.*",)])
def test_a_restart_from_stored_state_equals_going_on(share):
    options = replace(OPTIONS, share=share)
    one = learner(options)
    first = one.train(shared(options), None, 1)
    going_on = one.train(first.shared, first.private, 2)
    stored, _ = decode_tensors(encode_tensors(first.private))
    restarted = learner(options).train(first.shared, stored, 2)
    assert_same_bytes(going_on.shared, restarted.shared)
    assert_same_bytes(going_on.private, restarted.private)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_an_adam_filled_from_stored_state_steps_as_if_it_had_gone_on(layout):
    """Also in the memory layout that GPUs get, where stored state, in C order, is laid out otherwise."""
    convolution = torch.nn.Conv2d(8, 8, 4, bias=False).to(memory_format=layout)
    restarted = copy.deepcopy(convolution)
    adam, other = (
        torch.optim.Adam(module.parameters(), 0.01, fused=True)
        for module in (convolution, restarted)
    )
    gradient = torch.randn(8, 8, 4, 4, generator=torch.Generator().manual_seed(0))

    def step(module, optimiser):
        module.weight.grad = gradient.contiguous(memory_format=layout)
        optimiser.step()

    step(convolution, adam)
    fill_module(restarted, module_arrays(convolution))
    fill_adam(other, restarted, "adam", adam_arrays(adam, convolution, "adam"))
    step(convolution, adam)
    step(restarted, other)
    assert torch.equal(convolution.weight, restarted.weight)


def test_the_optimisers_state_counts():
    first = learner().train(shared(), None, 1)
    with_state = learner().train(first.shared, first.private, 2)
    without = learner().train(first.shared, None, 2)
    name = "generator.to_picture.weight"
    assert not np.array_equal(with_state.shared[name], without.shared[name])
    assert with_state.private["generator_adam.step"].tolist() == [6]


def test_what_is_shared_comes_back_as_it_came_and_the_rest_stays_private():
    options = replace(OPTIONS, share=("generator.*",))
    received = shared(options)
    trained = learner(options).train(received, None, 1)
    assert {n: (a.shape, a.dtype) for n, a in trained.shared.items()} == {
        n: (a.shape, a.dtype) for n, a in received.items()
    }
    parts = {name.split(".")[0] for name in trained.private}
    assert parts == {"discriminator", "generator_ema", "generator_adam", "discriminator_adam"}


def test_the_received_arrays_are_not_changed():
    received = shared()
    before = {name: array.copy() for name, array in received.items()}
    for array in received.values():
        array.flags.writeable = False
    learner().train(received, None, 1)
    assert_same_bytes(before, received)


def test_training_moves_every_shared_weight():
    received, trained = shared(), learner().train(shared(), None, 1).shared
    assert all(not np.array_equal(received[name], trained[name]) for name in received)


def test_examples_are_those_trained_on():
    assert learner(images=pictures(24)).train(shared(), None, 1).num_examples == 22


def test_held_out_pictures_never_reach_the_training():
    from fl_node.learning.data import split_held_out

    images = pictures()
    held_out, _ = split_held_out(24, OPTIONS.held_out, SEED)
    altered = Images(images.pixels_NCHW.copy(), None)
    altered.pixels_NCHW[held_out] = 0
    first, second = (learner(images=data).train(shared(), None, 1) for data in (images, altered))
    assert_same_bytes(first.shared, second.shared)
    assert first.held_out_loss != second.held_out_loss


def test_the_held_out_loss_is_the_received_models_and_not_the_trained_ones():
    few, many = (
        learner(replace(OPTIONS, steps=steps)).train(shared(), None, 1) for steps in (1, 4)
    )
    assert few.held_out_loss == many.held_out_loss


def test_a_round_can_be_measured_in_passes_over_the_data():
    options = replace(OPTIONS, steps=None, epochs=2)
    assert [options.steps_for(count) for count in (8, 12, 22)] == [2, 3, 6]


def test_progress_goes_up_to_the_last_step():
    seen = []
    learner().train(shared(), None, 1, lambda *report: seen.append(report))
    assert [(step, steps) for step, steps, _ in seen] == [(1, 3), (2, 3), (3, 3)]
    assert all(losses.keys() == {"discriminator", "generator"} for _, _, losses in seen)


def test_reported_losses_are_means_since_the_last_report():
    """Their weighted mean is the round's: each report speaks for its own stretch of steps, and none twice."""
    reports = []
    options = replace(OPTIONS, steps=45)
    trained = learner(options).train(shared(), None, 1, lambda *report: reports.append(report))
    steps = [step for step, _, _ in reports]
    assert (len(steps), steps[-1]) == (23, 45)
    stretches = np.diff([0, *steps])
    sums = [losses["discriminator"] + losses["generator"] for _, _, losses in reports]
    assert all(value > 0.1 for value in sums)
    assert np.average(sums, weights=stretches) == pytest.approx(trained.training_loss, rel=1e-5)


def test_the_global_random_state_is_neither_read_nor_changed():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = learner().train(shared(), None, 1)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(1)
    assert_same_bytes(first.shared, learner().train(shared(), None, 1).shared)


def test_a_training_that_diverges_says_so():
    options = replace(OPTIONS, generator_rate=1e30, discriminator_rate=1e30, norm="none")
    with pytest.raises(TrainingDiverged, match="no longer finite at step"):
        learner(replace(options, steps=20)).train(shared(options), None, 1)


def test_a_last_step_that_goes_to_infinity_is_not_kept():
    """The loss of that step was finite; what it made of the weights would be private state for ever."""
    options = replace(OPTIONS, steps=1, generator_rate=1e39)
    with pytest.raises(TrainingDiverged, match=r"generator.* is no longer finite"):
        learner(options).train(shared(), None, 1)


def test_a_model_that_is_not_the_manifests_is_refused():
    lacking, other, wide = shared(), shared(), shared()
    lacking.pop("generator.to_picture.weight")
    other["generator.to_picture.weight"] = np.zeros((1, 2), np.float32)
    wide["generator.to_picture.weight"] = wide["generator.to_picture.weight"].astype(np.float64)
    with pytest.raises(Misuse, match=r"first 'generator\.to_picture\.weight'"):
        learner().train(lacking, None, 1)
    for model in (other, wide):
        with pytest.raises(Misuse, match="expected float32"):
            learner().train(model, None, 1)


def test_private_state_that_lacks_something_is_refused():
    first = learner().train(shared(), None, 1)
    private = {n: a for n, a in first.private.items() if n != "generator_adam.step"}
    with pytest.raises(Misuse, match=r"lacks 'generator_adam\.step'"):
        learner().train(first.shared, private, 2)


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
