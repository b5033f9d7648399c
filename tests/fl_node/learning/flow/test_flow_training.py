"""The step's laws: what is drawn, what the loss is, and that it falls."""

import pytest
import torch
from knobs import flow_options

from fl_node.learning import genesis, load_images
from fl_node.learning.averages import ema_decay
from fl_node.learning.flow import FLOW
from fl_node.learning.flow.losses import velocity_loss
from fl_node.learning.flow.options import FlowOptions
from fl_node.learning.run import Runner
from fl_node.learning.steps import Pictures, to_device
from fl_node.learning.workplace import Workplace

CPU, LEARNER = torch.device("cpu"), FLOW.learner
OPTIONS = flow_options(width=4, batch=16, rate=0.004, ema_half_life=5)


def start(options: FlowOptions = OPTIONS):
    place = Workplace(LEARNER, options, CPU)
    return place.resume(options, genesis(options, 1), None)


def drawn(seed: int = 0, options: FlowOptions = OPTIONS):
    return LEARNER.draw(options, torch.Generator().manual_seed(seed))


def test_times_are_evenly_spaced_on_the_circle_from_a_random_one_on():
    for seed in range(5):
        times_N = drawn(seed)["times_N"]
        assert times_N.min() >= 0 and times_N.max() < 1
        gaps = times_N.sort().values.diff()
        torch.testing.assert_close(gaps, torch.full((15,), 1 / 16))
    assert not torch.equal(drawn(0)["times_N"], drawn(1)["times_N"])


def test_noise_is_normal_and_has_the_batch_s_shape():
    noise_NCHW = drawn(options=flow_options(batch=64, channels=3))["noise_NCHW"]
    assert noise_NCHW.shape == (64, 3, 32, 32)
    assert abs(noise_NCHW.mean()) < 0.01 and noise_NCHW.std() == pytest.approx(1, abs=0.01)


def test_the_velocity_of_a_single_picture_s_lines_has_no_error():
    """Every line ends at the picture c, so that its velocity is (c - x) / (1 - t) at the point x."""
    c_NCHW = torch.rand(16, 1, 32, 32) * 2 - 1
    given = drawn()

    def exact(x_NCHW, times_N, labels_N):
        return (c_NCHW - x_NCHW) / (1 - times_N[:, None, None, None])

    loss = velocity_loss(exact, c_NCHW, given["noise_NCHW"], given["times_N"], None)
    assert loss < 1e-6


def test_the_loss_is_the_squared_error_of_the_velocity():
    """A flow at rest errs by the lines' own velocity, of mean square 1 + 0.5^2 for a picture of 0.5."""
    given, x_NCHW = drawn(), torch.full((16, 1, 32, 32), 0.5)

    def rest(x_NCHW, times_N, labels_N):
        return torch.zeros_like(x_NCHW)

    loss = velocity_loss(rest, x_NCHW, given["noise_NCHW"], given["times_N"], None)
    assert loss == pytest.approx(1.25, abs=0.05)


def test_no_flow_of_normal_pictures_is_better_than_the_exact_one():
    """Of pictures s z + m in each pixel the best velocity is known, and so is what error remains."""
    deviation = 0.3
    given = drawn(options=flow_options(batch=256))
    random = torch.Generator().manual_seed(9)
    x_NCHW = deviation * torch.randn(256, 1, 32, 32, generator=random)

    def flow_with(factor):
        def flow(x_NCHW, times_N, labels_N):
            t = times_N[:, None, None, None]
            slope = (t * deviation**2 - (1 - t)) / ((1 - t) ** 2 + (t * deviation) ** 2)
            return factor * slope * x_NCHW

        return flow

    def loss(factor):
        noise_NCHW, times_N = given["noise_NCHW"], given["times_N"]
        return velocity_loss(flow_with(factor), x_NCHW, noise_NCHW, times_N, None).item()

    t = given["times_N"]
    expected = (deviation**2 / ((1 - t) ** 2 + (t * deviation) ** 2)).mean().item()
    assert loss(1) == pytest.approx(expected, rel=0.02)
    assert loss(1) < min(loss(0.9), loss(1.1))


def test_the_loss_falls_on_the_digits():
    torch.set_num_threads(1)
    examples = to_device(load_images("digits", OPTIONS), CPU)
    runner = Runner(LEARNER, start(), CPU)
    first, *_, last = (runner.run(OPTIONS, examples, steps=15, seed=seed) for seed in range(4))
    assert first < 1.63, "below that of a flow at rest"
    assert last < 0.75 * first


def test_the_average_follows_the_flow_and_is_never_trained():
    training, name = start(), "to_velocity.weight"
    examples = Pictures(torch.zeros(16, 1, 32, 32, dtype=torch.uint8))
    expected = training.model["flow"].state_dict()[name].clone()
    for seed in range(3):
        Runner(LEARNER, training, CPU).run(OPTIONS, examples, 1, seed)
        current = training.model["flow"].state_dict()[name]
        expected = expected.lerp(current, 1 - ema_decay(OPTIONS.ema_half_life))
    torch.testing.assert_close(training.model["flow_ema"].state_dict()[name], expected)


def test_only_a_conditional_flow_sees_the_classes():
    pixels_NCHW = torch.zeros(16, 1, 32, 32, dtype=torch.uint8)
    for classes, alike in ((0, True), (2, False)):
        options = flow_options(width=4, batch=16, classes=classes, rate=0.01)
        losses = [
            Runner(LEARNER, start(options), CPU).run(
                options, Pictures(pixels_NCHW, labels_N), 6, seed=1
            )
            for labels_N in (torch.arange(16) % 2, torch.arange(16) // 8)
        ]
        assert (losses[0] == losses[1]) == alike
