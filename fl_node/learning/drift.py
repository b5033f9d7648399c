"""Terms against client drift: three terms that an assignment can add to a member's training.

The first two change gradients between the backward pass and the optimiser's step, by a hook on the optimiser. Steps do
not know of them, and without them training is plain, bit for bit. The third is a term of the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fl_node.arrays import Array, Arrays
from fl_node.errors import TrainingFailed
from fl_node.learning.steps import Features, Training, full_precision
from fl_node.learning.transfer import fill_tensors, to_arrays

BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Bandwidths of the kernels, in units of the mean squared distance."""


class GradientTerms:
    """The terms that change gradients, in memory that stays where it is from training to training.

    - pull: mu (w - anchor), the gradient of mu/2 ||w - anchor||^2, the proximal term of FedProx (Li et al. 2018,
      arXiv:1812.06127) and Ditto (Li et al. 2020, arXiv:2012.04221).
    - correction: SCAFFOLD's step (Karimireddy et al. 2019, arXiv:1910.06378, algorithm 1), which also needs the sum of
      the gradients before it.

    Attributes:
        mu: Weight of the pull; 0 adds none.
        corrects: Whether the correction is added.
    """

    def __init__(self, training: Training) -> None:
        """Add no term yet."""
        self.mu, self.corrects = 0.0, False
        self._training = training
        self._memory: dict[str, dict[str, Tensor]] = {}

    def set(self, received: Arrays, mu: float, correction: Arrays | None) -> None:
        """Set the terms of the next training, and the sums to 0.

        Args:
            received: The anchor of the pull.
            mu: >= 0; 0 adds no pull.
            correction: None adds none.

        Raises:
            Misuse: An array does not match the shape of the parameter with its name, or is not float32.
        """
        self.mu, self.corrects = mu, correction is not None
        if mu:
            fill_tensors(self._static("anchors", received), received)
        if correction is not None:
            fill_tensors(self._static("corrections", correction), correction)
            for total in self._static("sums", correction).values():
                total.zero_()

    def mean_gradients(self, steps: int) -> dict[str, Array]:
        """For each corrected parameter the mean over the steps of its gradients before correction."""
        parameters = dict(self._training.model.named_parameters())
        means = {name: total / steps for name, total in self._memory["sums"].items()}
        return to_arrays({name: mean.to(parameters[name].dtype) for name, mean in means.items()})

    @contextmanager
    def added(self) -> Iterator[None]:
        """Inside, the optimisers add the terms before each of their steps."""
        hooks = [
            optimiser.register_step_pre_hook(self._change(parameters))
            for optimiser in self._training.optimisers.values()
            if (self.mu or self.corrects) and (parameters := self._changed(optimiser))
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _static(self, what: str, arrays: Arrays) -> dict[str, Tensor]:
        """One tensor for each parameter that the arrays name, in the parameter's memory layout."""
        if what not in self._memory:
            self._memory[what] = {
                name: torch.zeros_like(
                    parameter, dtype=_memory_dtype(what, parameter), requires_grad=False
                )
                for name, parameter in self._training.model.named_parameters()
                if parameter.requires_grad and name in arrays
            }
        return self._memory[what]

    def _changed(self, optimiser: Optimizer) -> dict[str, nn.Parameter]:
        """Those of an optimiser's parameters that the terms change."""
        named = self._memory["anchors" if self.mu else "corrections"]
        own = {parameter for group in optimiser.param_groups for parameter in group["params"]}
        parameters = dict(self._training.model.named_parameters())
        return {name: parameters[name] for name in named if parameters[name] in own}

    def _change(self, named: dict[str, nn.Parameter]) -> Callable[..., None]:
        anchors, corrections, sums = (
            [self._memory[what][name] for name in named] if what in self._memory else []
            for what in ("anchors", "corrections", "sums")
        )
        parameters, mu, corrects = list(named.values()), self.mu, self.corrects

        @torch.no_grad()
        def hook(optimiser: Optimizer, given: tuple[object, ...], named: dict[str, object]) -> None:
            if any(given[1:]) or any(named.values()):  # A closure, after the optimiser itself.
                raise TrainingFailed(
                    f"optimisers(): a step of {type(optimiser).__name__} computes its own gradients, so nothing can be "
                    "added to them: choose another optimiser, or strategy.train = plain"
                )
            # Optimisers pass over a parameter that the loss does not reach.
            reached = [at for at, parameter in enumerate(parameters) if parameter.grad is not None]
            gradients = [parameters[at].grad for at in reached]
            if mu and reached:
                moved = [parameters[at] for at in reached]
                pulls = torch._foreach_sub(moved, [anchors[at] for at in reached])
                torch._foreach_add_(gradients, pulls, alpha=mu)
            if corrects and reached:
                torch._foreach_add_([sums[at] for at in reached], gradients)
                torch._foreach_add_(gradients, [corrections[at] for at in reached])

        return hook


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
    """What a round adds to each step.

    Attributes:
        second: Adds its term to the loss of the network that sees the real pictures; None adds nothing.
        opponents: Other members' networks, which do not change; a kind that has such opponents trains against them too.
        gradients: Change the gradients before each step of an optimiser; None changes nothing.
    """

    second: SecondStream | None = None
    gradients: GradientTerms | None = None
    opponents: tuple[nn.Module, ...] = ()

    def added(self) -> AbstractContextManager[None]:
        """Inside, the optimisers change gradients; the second stream is part of the kind's step."""
        return nullcontext() if self.gradients is None else self.gradients.added()

    @property
    def recorded(self) -> tuple[object, ...]:
        """What a recorded step has of the terms beside the contents of memory, so that equal ones share a recording."""
        second = None if self.second is None else self.second.weight
        gradients = self.gradients
        changes = gradients and (gradients.mu, gradients.corrects)
        return (second, changes, len(self.opponents))


NO_TERMS = Terms()


def _memory_dtype(what: str, parameter: nn.Parameter) -> torch.dtype:
    """Sums of many gradients would lose most of them in half precision."""
    wide = torch.promote_types(parameter.dtype, torch.float32)
    return wide if what == "sums" else parameter.dtype


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
