"""The objectives, at logits whose losses can be worked out by hand."""

import math

import pytest
import torch

from fl_node.learning.gan.losses import discriminator_loss, generator_loss, gradient_penalty


def logits(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)


def softplus(value: float) -> float:
    return math.log1p(math.exp(value))


def test_bce_at_known_logits():
    assert discriminator_loss("bce", logits(2), logits(-1)).item() == pytest.approx(
        softplus(-2) + softplus(-1)
    )
    assert generator_loss("bce", logits(2), logits(-1)).item() == pytest.approx(softplus(1))


def test_bce_is_torchs_cross_entropy():
    real, fake = torch.randn(8), torch.randn(8)
    criterion = torch.nn.BCEWithLogitsLoss()
    expected = criterion(real, torch.ones(8)) + criterion(fake, torch.zeros(8))
    torch.testing.assert_close(discriminator_loss("bce", real, fake), expected)


def test_hinge_at_known_logits():
    # Real: 1-2 < 0 counts 0, 1-(-1) counts 2; fake: 1-3 < 0 counts 0, 1+0.5 counts 1.5.
    assert discriminator_loss("hinge", logits(2, -1), logits(-3, 0.5)).item() == 1 + 0.75
    assert generator_loss("hinge", logits(2, -1), logits(-3, 0.5)).item() == 1.25


def test_relativistic_sees_only_the_difference_within_a_pair():
    real, fake = torch.randn(8), torch.randn(8)
    for loss in (discriminator_loss, generator_loss):
        torch.testing.assert_close(
            loss("relativistic", real + 5, fake + 5), loss("relativistic", real, fake)
        )


def test_relativistic_is_one_game_with_the_sides_exchanged():
    real, fake = torch.randn(8), torch.randn(8)
    assert generator_loss("relativistic", real, fake) == discriminator_loss(
        "relativistic", fake, real
    )
    assert generator_loss("relativistic", logits(3), logits(1)).item() == pytest.approx(softplus(2))


@pytest.mark.parametrize("loss", ["bce", "hinge", "relativistic"])
def test_a_discriminator_that_is_right_has_the_smaller_loss(loss):
    right = discriminator_loss(loss, logits(1.0), logits(-1.0))
    assert right < discriminator_loss(loss, logits(-1.0), logits(1.0))


def test_the_penalty_of_a_linear_discriminator_is_its_squared_weight():
    weight = torch.randn(1, 2, 2)
    x_NCHW = torch.randn(3, 1, 2, 2, requires_grad=True)
    penalty = gradient_penalty((x_NCHW * weight).sum(dim=(1, 2, 3)), x_NCHW)
    torch.testing.assert_close(penalty, weight.square().sum())


def test_the_penalty_agrees_with_finite_differences():
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 5), torch.nn.Tanh())
    network.append(torch.nn.Linear(5, 1)).double()
    x_NCHW = torch.randn(2, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    actual = gradient_penalty(network(x_NCHW).flatten(), x_NCHW).item()

    step, expected = 1e-5, 0.0
    for pixel in torch.eye(4, dtype=torch.float64).reshape(4, 1, 2, 2) * step:
        with torch.no_grad():
            slope_N = (network(x_NCHW + pixel) - network(x_NCHW - pixel)).flatten() / (2 * step)
        expected += slope_N.square().mean().item()
    assert actual == pytest.approx(expected, rel=1e-5)


def test_the_penalty_can_itself_be_minimised():
    weight = torch.ones(1, 1, 2, 2, requires_grad=True)
    x_NCHW = torch.randn(3, 1, 2, 2, requires_grad=True)
    gradient_penalty((x_NCHW * weight).sum(dim=(1, 2, 3)), x_NCHW).backward()
    torch.testing.assert_close(weight.grad, 2 * torch.ones(1, 1, 2, 2))
