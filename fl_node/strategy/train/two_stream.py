"""Two-stream training: the received model stays frozen beside the trained one and pulls at its features.

Adds weight * MMD^2(features of the trained model, features of the received model) to the member's loss, the squared
maximum mean discrepancy over a batch; which features, and which kernel, the learner says. Unlike FedProx's term it
binds what the model computes on this member's data, not where its parameters lie.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from fl_node.fields import Choice, Number
from fl_node.learner import Assignment, Learner, Trained
from fl_node.strategy.train.context import Context


class TwoStream(Choice):
    """Two-stream federated learning with MMD (Yao et al. 2018, VCIP; Yao et al. 2019, arXiv:1908.05891)."""

    kind: Literal["two_stream"] = "two_stream"
    weight: Annotated[Number, Field(ge=0)] = Decimal("0.1")
    """Weight of the discrepancy; 0 is FedAvg, bit for bit."""


def train_two_stream(
    choice: TwoStream, learner: Learner, assignment: Assignment, context: Context
) -> Trained:
    """Train with the discrepancy's weight."""
    return learner.train(replace(assignment, discrepancy=float(choice.weight)), context.progress)
