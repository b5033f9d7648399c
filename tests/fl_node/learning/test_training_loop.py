"""The loop's laws: batches, the average, and that it learns."""

import numpy as np
import pytest
import torch

from fl_node.learning import GanOptions, genesis
from fl_node.learning.evaluation import energy_distance
from fl_node.learning.models import build
from fl_node.learning.tensors import fill_module
from fl_node.learning.training_loop import (
    draw_batches,
    ema_decay,
    prepare_training,
    to_pictures,
    train_steps,
)

CPU = torch.device("cpu")
OPTIONS = GanOptions(
    latent=8,
    generator_width=4,
    discriminator_width=4,
    batch=8,
    loss="bce",
    penalty=0.0,
    generator_rate=0.02,
    discriminator_rate=0.02,
    ema_half_life=5,
)


def start(options: GanOptions):
    model = build(options)
    fill_module(model, genesis(options, 1))
    return prepare_training(model, options, CPU)


def test_the_bce_loop_learns_what_a_white_square_is():
    torch.set_num_threads(1)
    pixels_NCHW = torch.zeros(16, 1, 32, 32, dtype=torch.uint8)
    pixels_NCHW[:, :, 8:24, 8:24] = 255
    training = start(OPTIONS)
    z_NZ = torch.randn(16, 8, generator=torch.Generator().manual_seed(0))

    def distance() -> float:
        with torch.no_grad():
            x_fake = training.model["generator"](z_NZ)
        return (x_fake - to_pictures(pixels_NCHW)).square().mean().item()

    before = distance()
    train_steps(training, OPTIONS, pixels_NCHW, steps=75, seed=1)
    assert distance() < before / 2


@pytest.mark.parametrize(("count", "batch"), [(10, 4), (4, 10), (8, 8)])
def test_batches_pass_over_the_data_again_and_again(count, batch):
    batches = draw_batches(count, batch, 3, CPU)
    drawn = torch.cat([next(batches) for _ in range(count)])
    assert (torch.bincount(drawn, minlength=count) == batch).all()


def test_the_average_halves_its_distance_in_a_half_life():
    for half_life in (1, 7, 200):
        assert ema_decay(half_life) ** half_life == pytest.approx(0.5)


def test_the_average_follows_the_generator_and_is_never_trained():
    options = OPTIONS
    training = start(options)
    pixels_NCHW = torch.zeros(8, 1, 32, 32, dtype=torch.uint8)
    name = "to_picture.weight"
    expected = training.model["generator"].state_dict()[name].clone()
    for seed in range(3):
        train_steps(training, options, pixels_NCHW, 1, seed)
        current = training.model["generator"].state_dict()[name]
        expected = expected.lerp(current, 1 - ema_decay(options.ema_half_life))
    torch.testing.assert_close(training.model["generator_ema"].state_dict()[name], expected)


def test_bytes_become_pictures_between_minus_1_and_1():
    pixels = torch.tensor([0, 255], dtype=torch.uint8)
    assert to_pictures(pixels).tolist() == [-1, 1]


def test_the_energy_distance_is_small_for_alike_and_large_for_unlike():
    random = torch.Generator().manual_seed(0)
    x_ND, y_ND = (torch.randn(400, 16, generator=random) for _ in range(2))
    assert abs(energy_distance(x_ND, y_ND).item()) < 0.01
    assert energy_distance(x_ND, y_ND + 2).item() > 1


def test_the_energy_distance_of_two_points_is_worked_out_by_hand():
    x_ND, y_ND = torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0], [5.0]])
    # Across: 3, 5, 2, 4, mean 3.5; within: 1 and 2.
    assert energy_distance(x_ND, y_ND).item() == pytest.approx(2 * 3.5 - 1 - 2)


def test_members_averages_add_up_to_the_average_of_their_mean():
    """Averaging over steps and over members are both linear, so a shared average means what it says."""
    random = np.random.default_rng(0)
    weights_KT = random.normal(size=(3, 20))
    shares_K = np.array([0.5, 0.3, 0.2])
    keep = ema_decay(4)

    def average(weights_T):
        value = 1.0
        for weight in weights_T:
            value = keep * value + (1 - keep) * weight
        return value

    of_each = shares_K @ [average(weights_T) for weights_T in weights_KT]
    assert of_each == pytest.approx(average(shares_K @ weights_KT))
