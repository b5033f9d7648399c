"""Two-stream training: a frozen copy of the received model keeps the trained model's features close to its own.

It adds weight * MMD^2(features of the trained model, features of the received model) to the member's loss, where MMD^2
is the squared maximum mean discrepancy over a batch. The learner defines the features and the kernel. Unlike FedProx's
term, it constrains what the model computes on the member's data, not its parameters.
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
