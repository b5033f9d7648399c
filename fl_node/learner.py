"""What the node asks of whatever learns: train a received model for so many steps, and say how good a model is.

The torch world in `fl_node.learning` implements it. Nothing outside knows which learner runs. The algorithms of
federated training (`fl_node.strategy.train`) are written against this page: each sets some fields of an assignment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from fl_node.arrays import Arrays

StepProgress = Callable[[int, int, dict[str, float]], None]
"""Called now and then during training with (step, steps in all, current losses)."""


def no_progress(step: int, steps: int, losses: dict[str, float]) -> None:
    """Report nothing."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """One piece of local training.

    Attributes:
        model: The shared tensors to start from.
        private: What the member's last training returned; None before its first.
        seed: 0 to 2**63 - 1; every random choice of the training follows from it.
        steps: Optimiser steps, > 0.
        anchor: The round's received model, to which `mu` and `discrepancy` refer; None where it is `model`.
        mu: Weight of the proximal term mu/2 ||w - anchor||^2 over the shared parameters; >= 0, 0 adds none.
        discrepancy: Weight of the squared maximum mean discrepancy between the features that the trained and the
            received model see in a batch; >= 0, 0 adds none.
        correction: Added to the gradient of each shared parameter in every step; None adds nothing. Names, shapes and
            dtypes of `model`.
    """

    model: Arrays
    private: Arrays | None
    seed: int
    steps: int
    anchor: Arrays | None = None
    mu: float = 0.0
    discrepancy: float = 0.0
    correction: Arrays | None = None

    @property
    def received(self) -> Arrays:
        """The round's received model."""
        return self.model if self.anchor is None else self.anchor


@dataclass(frozen=True, slots=True)
class Trained:
    """What a piece of local training gives.

    Attributes:
        shared: The trained shared tensors; names, shapes and dtypes of the received ones.
        private: Everything else that the next training needs (unshared tensors, optimiser state), as arrays.
        num_examples: Examples in the local training set, > 0; the weight of the update.
        steps: Optimiser steps taken, > 0.
        training_loss: Mean over the steps of the learner's own loss, without added terms; finite.
        mean_gradient: Where the assignment had a correction: the mean over the steps of the gradient before it was
            corrected; names, shapes and dtypes of `shared`, 0 for what no gradient reaches.
        sent: What an algorithm sends beside the difference, in float32, such as `control.NAME`; a learner: nothing.
    """

    shared: Arrays
    private: Arrays
    num_examples: int
    steps: int
    training_loss: float
    mean_gradient: Arrays | None = None
    sent: Arrays = field(default_factory=dict)


class Learner(Protocol):
    """Trains on one member's data. Pure functions of their arguments and that data: same input, same bytes."""

    def steps_for(self, epochs: int) -> int:
        """Optimiser steps of so many passes over the member's training data; the last batch is completed."""

    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        """Train.

        Raises:
            TrainingDiverged: A loss, a weight or what the optimiser keeps is no longer finite.
        """

    def measure(self, model: Arrays, private: Arrays | None) -> float:
        """Loss of a model on local data held out from training; finite, and comparable from round to round.

        Args:
            model: Shared tensors.
            private: Completes them, where some are not shared; None before the member's first training.
        """
