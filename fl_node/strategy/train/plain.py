"""Plain local training, as in FedAvg: the member's loss and nothing else."""

from __future__ import annotations

from typing import Literal

from fl_node.fields import Choice
from fl_node.learner import Assignment, Learner, Trained
from fl_node.strategy.train.context import Context


class Plain(Choice):
    """Train on the member's own loss (McMahan et al. 2017, arXiv:1602.05629)."""

    kind: Literal["plain"] = "plain"


def train_plain(
    choice: Plain, learner: Learner, assignment: Assignment, context: Context
) -> Trained:
    """Pass the assignment to the learner unchanged."""
    return learner.train(assignment, context.progress)
