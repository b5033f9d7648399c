"""From noise to pictures: against flows whose velocity and whose end are known."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from knobs import flow_options

from fl_node.errors import Misuse
from fl_node.learning import genesis
from fl_node.learning.flow.samples import integrate, sampler
from fl_node.learning.sampling import draw_samples

CPU = torch.device("cpu")
SMALL = flow_options(width=4, sampling_steps=2)
NOISE = torch.randn(4, 1, 2, 2, generator=torch.Generator().manual_seed(0)).double()


def of_one_picture(x_NCHW, times_N):
    """The exact velocity of data that is always the picture 0.5."""
    return (0.5 - x_NCHW) / (1 - times_N[:, None, None, None])


def of_a_normal(x_NCHW, times_N, deviation=0.5):
    """The exact velocity of normal data: noise z ends at `deviation` z."""
    t = times_N[:, None, None, None]
    variance = (1 - t) ** 2 + (t * deviation) ** 2
    return (t * deviation**2 - (1 - t)) / variance * x_NCHW


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_straight_lines_end_where_they_should_whatever_the_number_of_steps(steps):
    ends = integrate(of_one_picture, NOISE, steps)
    torch.testing.assert_close(ends, torch.full_like(NOISE, 0.5))


def test_on_curves_twice_the_steps_leave_a_quarter_of_the_error_or_less():
    errors = [(integrate(of_a_normal, NOISE, n) - NOISE / 2).abs().max() for n in (5, 10, 20, 40)]
    assert errors[0] < 0.1
    assert all(after < before / 3 for before, after in pairwise(errors))


def test_the_network_runs_twice_in_each_step_at_its_beginning_and_in_its_middle():
    seen = []

    def velocity(x_NCHW, times_N):
        seen.extend(set(times_N.tolist()))
        return torch.zeros_like(x_NCHW)

    integrate(velocity, NOISE, 4)
    assert seen == [0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875]


def test_an_untrained_flow_draws_its_noise():
    pixels_NCHW = draw_samples(sampler(SMALL, genesis(SMALL, 1), CPU), 8, seed=3)
    noise_NCHW = torch.randn(8, 1, 32, 32, generator=torch.Generator().manual_seed(3))
    expected = ((noise_NCHW.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    assert np.array_equal(pixels_NCHW, expected.numpy())


def random_weights(options):
    """Weights that are all drawn, the last layer's too."""
    random = np.random.default_rng(0)
    return {
        name: random.normal(0, 0.1, array.shape).astype(np.float32)
        for name, array in genesis(options, 1).items()
    }


def test_the_same_seed_draws_the_same_pictures_and_another_others():
    model = random_weights(SMALL)
    one, same, other = (draw_samples(sampler(SMALL, model, CPU), 2, seed) for seed in (0, 0, 1))
    assert np.array_equal(one, same) and not np.array_equal(one, other)


def test_the_average_is_drawn_where_there_is_one():
    model = random_weights(SMALL)
    flow = {name: array for name, array in model.items() if name.startswith("flow.")}
    average = {name.replace("flow_ema.", "flow."): array
               for name, array in model.items() if name.startswith("flow_ema.")}  # fmt: skip
    drawn = [draw_samples(sampler(SMALL, of, CPU), 2, 0) for of in (model, average, flow)]
    assert np.array_equal(drawn[0], drawn[1]) and not np.array_equal(drawn[0], drawn[2])


def test_each_class_is_drawn_as_asked_for():
    options = flow_options(width=4, sampling_steps=2, classes=2)
    drawer = sampler(options, random_weights(options), CPU)
    zeros, ones = (draw_samples(drawer, 2, 0, np.full(2, label)) for label in (0, 1))
    assert not np.array_equal(zeros, ones)


def test_a_model_without_a_whole_flow_cannot_be_drawn():
    with pytest.raises(Misuse, match="no flow"):
        sampler(SMALL, {}, CPU)
    body = {n: a for n, a in genesis(SMALL, 1).items() if ".body." in n}
    with pytest.raises(Misuse, match=r"differ from the manifest's, first in 'to_velocity\.bias'"):
        sampler(SMALL, body, CPU)
