"""The loop's laws: batches, the average, and that it learns."""

import math

import numpy as np
import pytest
import torch
from knobs import gan_options

from fl_node.learning import genesis
from fl_node.learning.averages import ema_decay
from fl_node.learning.drift import Terms
from fl_node.learning.gan import GAN
from fl_node.learning.gan.options import GanOptions
from fl_node.learning.gan.training import bounded_slope
from fl_node.learning.run import Runner
from fl_node.learning.steps import Batch, Pictures, to_pictures
from fl_node.learning.workplace import Workplace

CPU, LEARNER = torch.device("cpu"), GAN.learner
SMALL = {"latent": 8, "generator_width": 4, "discriminator_width": 4, "batch": 8}
OPTIONS = gan_options(
    **SMALL,
    loss="bce",
    penalty=0.0,
    generator_rate=0.02,
    discriminator_rate=0.02,
    ema_half_life=5,
)


def start(options: GanOptions):
    place = Workplace(LEARNER, options, CPU)
    return place.resume(options, genesis(options, 1), None)


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
    Runner(LEARNER, training, CPU).run(OPTIONS, Pictures(pixels_NCHW), steps=110, seed=1)
    assert distance() < before / 2


def test_the_discriminator_gets_every_picture_in_full_precision_among_steps_in_half():
    """The two penalties differentiate by these pictures, and have to have one precision."""
    options, seen = gan_options(**SMALL), []
    training = start(options)
    first = training.model["discriminator"].blocks
    first.register_forward_pre_hook(lambda module, given: seen.append(given[0].dtype))
    drawn = LEARNER.draw(options, torch.Generator().manual_seed(0))
    take = LEARNER.step(training, options, Terms())
    with torch.autocast("cpu", torch.bfloat16):
        generated = training.model["generator"](drawn["z_NZ"])
        take(Batch(torch.zeros(8, 1, 32, 32), None, drawn))
    assert generated.dtype == torch.bfloat16
    assert set(seen) == {torch.float32}


def test_the_average_halves_its_distance_in_a_half_life():
    for half_life in (1, 7, 200):
        assert ema_decay(half_life) ** half_life == pytest.approx(0.5)


def test_the_average_follows_the_generator_and_is_never_trained():
    options = OPTIONS
    training = start(options)
    pixels_NCHW = torch.zeros(8, 1, 32, 32, dtype=torch.uint8)
    name = "to_picture.weight"
    expected = training.model["generator"].state_dict()[name].clone()
    runner = Runner(LEARNER, training, CPU)
    for seed in range(3):
        runner.run(options, Pictures(pixels_NCHW), 1, seed)
        current = training.model["generator"].state_dict()[name]
        expected = expected.lerp(current, 1 - ema_decay(options.ema_half_life))
    torch.testing.assert_close(training.model["generator_ema"].state_dict()[name], expected)


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


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 1e6, 1e30, 3e38, math.inf, math.nan])
def test_an_opponent_pulls_no_harder_than_the_members_own_discriminator(factor):
    own, other = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(1)).unbind()
    bounded = bounded_slope(other * factor, own)
    assert bounded.isfinite().all()
    assert bounded.norm() <= own.norm() * 1.0001
    if factor <= 0.5:
        assert torch.equal(bounded, other * factor)
