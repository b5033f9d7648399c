"""Terms against client drift: three terms that an assignment can add to a member's training.

The first two change gradients between the backward pass and the optimiser's step, by a hook on the optimiser. Training
loops do not know of them, and without them training is plain, bit for bit. The third is a term of the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer

from fl_node.arrays import Arrays
from fl_node.learning.steps import Features, Training, full_precision
from fl_node.learning.tensors import checked

BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Bandwidths of the kernels, in units of the mean squared distance."""


def pull(training: Training, anchor: Arrays, mu: float) -> None:
    """In every following step, add mu (w - anchor) to the gradient of each parameter that the anchor names.

    This is the gradient of mu/2 ||w - anchor||^2, the proximal term of FedProx (Li et al. 2018, arXiv:1812.06127) and
    Ditto (Li et al. 2020, arXiv:2012.04221).

    Raises:
        Misuse: An array of the anchor does not match the parameter's shape, or is not float32.
    """
    for optimiser, named in _optimised(training, anchor):
        parameters, anchors = list(named.values()), _tensors_of(named, anchor)

        def add(gradients: list[Tensor], parameters=parameters, anchors=anchors) -> None:
            torch._foreach_add_(gradients, torch._foreach_sub(parameters, anchors), alpha=mu)

        _before_step(optimiser, parameters, add)


def correct(training: Training, correction: Arrays) -> dict[str, Tensor]:
    """In every following step, add the correction to the gradient of each parameter that it names.

    This is SCAFFOLD's step (Karimireddy et al. 2019, arXiv:1910.06378, algorithm 1).

    Returns:
        For each such parameter the sum of its gradients before correction, which every step adds to.

    Raises:
        Misuse: An array of the correction does not match the parameter's shape, or is not float32.
    """
    sums: dict[str, Tensor] = {}
    for optimiser, named in _optimised(training, correction):
        zeros = {name: torch.zeros_like(parameter) for name, parameter in named.items()}
        totals, corrections = list(zeros.values()), _tensors_of(named, correction)

        def add(gradients: list[Tensor], totals=totals, corrections=corrections) -> None:
            torch._foreach_add_(totals, gradients)
            torch._foreach_add_(gradients, corrections)

        _before_step(optimiser, list(named.values()), add)
        sums |= zeros
    return sums


@dataclass(frozen=True, slots=True)
class SecondStream:
    """The received model, frozen beside the trained one (Yao et al. 2018, "Two-stream federated learning").

    A classifier's features are the outputs of its last hidden layer. A GAN's are the discriminator's features of real
    pictures; if the discriminator is not shared, the received one is the member's own from before this training.

    Attributes:
        features: The features of the received model, which does not change.
        weight: > 0.
    """

    features: Features
    weight: float

    def term(self, x_NCHW: Tensor, trained: Tensor) -> Tensor:
        """The term to add to the loss: the weighted discrepancy between the two models' features of a batch.

        Args:
            x_NCHW: The batch.
            trained: The trained model's features of it.
        """
        with torch.no_grad():
            received = self.features(x_NCHW)
        # In float32 throughout: of nearly equal features, half precision would compare the rounding.
        with full_precision(x_NCHW.device):
            discrepancy = squared_mmd(trained.flatten(1).float(), received.flatten(1).float())
        return self.weight * discrepancy


@dataclass(frozen=True, slots=True)
class Terms:
    """What a round adds to the loss of each step.

    Attributes:
        second: Adds its term to the loss of the network that sees the real pictures; None adds nothing.
    """

    second: SecondStream | None = None


NO_TERMS = Terms()


def squared_mmd(x_ND: Tensor, y_MD: Tensor) -> Tensor:
    """Squared maximum mean discrepancy, 0 for equal samples and at most 2.

    The kernel is the mean of five Gaussian kernels, whose bandwidths lie around the mean squared distance of all
    samples; no gradient flows through the bandwidths.

    Source: Gretton et al. 2012, "A kernel two-sample test", equation 5; kernels as in Long et al. 2015
    (arXiv:1502.02791).
    """
    both = torch.cat([x_ND, y_MD])
    both = both - both.mean(dim=0).detach()  # Smaller numbers lose less to cancellation.
    norms = both.square().sum(dim=1)
    squared = (norms[:, None] + norms - 2 * both @ both.T).clamp_min(0)
    scale = squared.detach().mean().clamp_min(torch.finfo(squared.dtype).tiny)
    kernel = sum(torch.exp(squared / (-width * scale)) for width in BANDWIDTHS) / len(BANDWIDTHS)
    count = len(x_ND)
    within = kernel[:count, :count].mean() + kernel[count:, count:].mean()
    return within - 2 * kernel[:count, count:].mean()


def _optimised(training: Training, arrays: Arrays) -> Iterator[tuple[Optimizer, dict[str, Tensor]]]:
    """Each optimiser, with those of its parameters that the arrays name."""
    names = {parameter: name for name, parameter in training.model.named_parameters()}
    for optimiser in training.optimisers.values():
        parameters = [weight for group in optimiser.param_groups for weight in group["params"]]
        named = {names[weight]: weight for weight in parameters if names[weight] in arrays}
        if named:
            yield optimiser, named


def _tensors_of(named: dict[str, Tensor], arrays: Arrays) -> list[Tensor]:
    """The arrays with the parameters' names, on the parameters' device and in their memory layout."""
    return [
        torch.empty_like(parameter, requires_grad=False).copy_(
            checked(name, arrays[name], tuple(parameter.shape))
        )
        for name, parameter in named.items()
    ]


def _before_step(
    optimiser: Optimizer, parameters: list[Tensor], change: Callable[[list[Tensor]], None]
) -> None:
    @torch.no_grad()
    def hook(*_: object) -> None:
        change([parameter.grad for parameter in parameters])

    optimiser.register_step_pre_hook(hook)
