"""FedProx: the member's loss plus mu/2 ||w - w_t||^2, which holds it near the received model w_t.

Source: Li et al. 2018, arXiv:1812.06127. With mu = 0 it is FedAvg, bit for bit. The paper searches mu in
{0.001, 0.01, 0.1, 0.5, 1} and finds no value that is right everywhere, hence its heuristic: raise mu when the global
loss rose, lower it when the loss has fallen for some rounds running.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field

from fl_node.fields import Beside, Choice, Loss, Number
from fl_node.history.past import mean_losses
from fl_node.learner import Assignment, Learner, Trained
from fl_node.strategy.train.context import Context


class Proximal(Choice):
    """FedProx with the same mu in every round."""

    kind: Literal["proximal"] = "proximal"
    mu: Annotated[Number, Field(ge=0)] = Decimal("0.01")
    """Weight of the proximal term."""


class AdaptiveProximal(Choice):
    """FedProx with mu in [0, 1], steered by the losses on record; each member computes the same mu."""

    kind: Literal["adaptive_proximal"] = "adaptive_proximal"
    start: Annotated[Number, Field(ge=0, le=1)] = Decimal(0)
    """mu in the first two rounds; the paper takes 0 where members' data are alike and 1 where they are not."""
    step: Annotated[Number, Field(gt=0, le=1)] = Decimal("0.1")
    """What mu rises or falls by."""
    patience: Annotated[int, Field(ge=1, le=65_535)] = 5
    """Rounds running in which the loss must fall before mu does."""
    loss: Loss = "held_out"
    """The recorded loss that steers."""

    def objection(self, beside: Beside) -> str | None:
        """Adversarial losses say nothing about progress."""
        if self.loss == "training" != beside.falling_loss:
            return (
                "this learner's training loss does not fall as it learns, so it cannot steer mu; "
                "use loss = held_out, or kind = proximal"
            )
        return None


def train_proximal(
    choice: Proximal, learner: Learner, assignment: Assignment, context: Context
) -> Trained:
    """Train with the fixed mu."""
    return learner.train(replace(assignment, mu=float(choice.mu)), context.progress)


def train_adaptive_proximal(
    choice: AdaptiveProximal, learner: Learner, assignment: Assignment, context: Context
) -> Trained:
    """Train with the mu that the past leads to."""
    mu = adapted_mu(choice, mean_losses(context.past, choice.loss))
    return learner.train(replace(assignment, mu=float(mu)), context.progress)


def adapted_mu(choice: AdaptiveProximal, losses: Sequence[float]) -> Decimal:
    """Fold the global losses, oldest first, into mu.

    A rise adds a step at once. `patience` falls running take one off and the count begins anew; a loss that rises or
    stays breaks the run. Exact, since mu is a decimal number.
    """
    mu, falls = choice.start, 0
    for before, after in pairwise(losses):
        falls = falls + 1 if after < before else 0
        if after > before:
            mu = min(mu + choice.step, Decimal(1))
        elif falls == choice.patience:
            mu, falls = max(mu - choice.step, Decimal(0)), 0
    return mu
