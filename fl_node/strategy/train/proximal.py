"""FedProx: the member's loss plus mu/2 ||w - w_t||^2, which keeps the weights w close to the received model w_t.

With mu = 0 it is FedAvg, bit for bit. The paper searches mu in {0.001, 0.01, 0.1, 1} and finds no value that is best
everywhere. It therefore proposes a heuristic: raise mu when the global training loss has risen, and lower it when that
has fallen for several rounds in a row. Here the recorded held-out loss is followed unless the manifest says otherwise.

Source: Li et al. 2018, arXiv:1812.06127.
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
    """FedProx with mu in [0, 1], adapted to the recorded losses. All members compute the same mu."""

    kind: Literal["adaptive_proximal"] = "adaptive_proximal"
    start: Annotated[Number, Field(ge=0, le=1)] = Decimal(0)
    """mu in the first two rounds. To make it hard for the heuristic, the paper's figure 3 starts at 1 if members' data
    are IID, and at 0 if they are not."""
    step: Annotated[Number, Field(gt=0, le=1)] = Decimal("0.1")
    """The amount by which mu rises or falls."""
    patience: Annotated[int, Field(ge=1, le=65_535)] = 5
    """Number of consecutive rounds in which the loss must fall before mu is lowered."""
    loss: Loss = "held_out"
    """The recorded loss that determines mu."""

    def objection(self, beside: Beside) -> str | None:
        """An adversarial training loss does not show progress."""
        if self.loss == "training" != beside.falling_loss:
            return (
                "this learner's training loss does not fall as it learns, so mu cannot follow it; "
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
    """Train with the mu that follows from the past rounds."""
    mu = adapted_mu(choice, mean_losses(context.past, choice.loss))
    return learner.train(replace(assignment, mu=float(mu)), context.progress)


def adapted_mu(choice: AdaptiveProximal, losses: Sequence[float]) -> Decimal:
    """Compute mu from the global losses, oldest first.

    Each rise of the loss raises mu by a step. `patience` consecutive falls lower it by a step and restart the count; a
    loss that rises or stays the same also restarts it. The result is exact, because mu is a decimal number.
    """
    mu, falls = choice.start, 0
    for before, after in pairwise(losses):
        falls = falls + 1 if after < before else 0
        if after > before:
            mu = min(mu + choice.step, Decimal(1))
        elif falls == choice.patience:
            mu, falls = max(mu - choice.step, Decimal(0)), 0
    return mu
