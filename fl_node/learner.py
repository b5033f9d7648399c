"""The interface of a learner: train a received model for a number of steps, and measure how good a model is.

`fl_node.learning` implements it with torch. Nothing outside that package knows which learner runs. The algorithms of
federated training (`fl_node.strategy.train`) use this interface alone: each sets some fields of an assignment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from fl_node.arrays import Array, Arrays

StepProgress = Callable[[int, int, dict[str, float]], None]
"""Called from time to time during training with (step, total steps, current losses)."""


OPTIMISER: Final = "optimiser"
"""The first part of the name of each private array that holds an optimiser's state, such as `optimiser.step.w`."""


def without_optimisers(private: Arrays) -> dict[str, Array]:
    """The private arrays that do not hold an optimiser's state, whatever prefixes a wrapping learner gave them."""
    return {name: array for name, array in private.items() if OPTIMISER not in name.split(".")}


def no_progress(step: int, steps: int, losses: dict[str, float]) -> None:
    """Report nothing."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """One piece of local training.

    Attributes:
        model: The shared tensors to start from.
        private: The private arrays that the member's last training returned; None before its first.
        seed: 0 to 2**63 - 1; determines every random choice of the training.
        steps: Optimiser steps, > 0.
        round: The round that it belongs to, from 1; knobs with a schedule have this round's values.
        fresh: Whether the optimisers start anew, even if `private` has their state.
        anchor: The round's received model, to which `mu` and `discrepancy` refer; None if that is `model`.
        mu: Weight of the proximal term mu/2 ||w - anchor||^2 over the shared parameters; >= 0, and 0 adds no term.
        discrepancy: Weight of the squared maximum mean discrepancy between the features that the trained model and the
            received model compute for a batch; >= 0, and 0 adds no term.
        correction: Added to the gradient of each shared parameter in every step; None adds nothing. Names, shapes and
            dtypes as in `model`.
        opponents: Other members' published networks to train against, each under its tensors' names in the model; only
            for a learner that has such opponents.
    """

    model: Arrays
    private: Arrays | None
    seed: int
    steps: int
    round: int = 1
    fresh: bool = False
    anchor: Arrays | None = None
    mu: float = 0.0
    discrepancy: float = 0.0
    correction: Arrays | None = None
    opponents: tuple[Arrays, ...] = ()

    @property
    def received(self) -> Arrays:
        """The round's received model."""
        return self.model if self.anchor is None else self.anchor


@dataclass(frozen=True, slots=True)
class Trained:
    """The result of one piece of local training.

    Attributes:
        shared: The trained shared tensors; names, shapes and dtypes as in the received model.
        private: Everything else that the next training needs (unshared tensors, optimiser state), as arrays.
        num_examples: Number of examples in the local training set, > 0; the weight of the update.
        steps: Optimiser steps taken, > 0.
        training_loss: Mean over the steps of the learner's own loss, without added terms; finite.
        mean_gradient: If the assignment had a correction: the mean over the steps of the gradient before it was
            corrected; names, shapes and dtypes as in `shared`, and 0 for a tensor that no gradient reaches.
        sent: Arrays that an algorithm sends beside the difference, in float32, such as `control.NAME`; empty for a
            learner.
        metrics: What the training measured, by name; those that the manifest names travel with the update.
        versions: The installed versions of the libraries that the manifest requires, by name.
    """

    shared: Arrays
    private: Arrays
    num_examples: int
    steps: int
    training_loss: float
    mean_gradient: Arrays | None = None
    sent: Arrays = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measured:
    """How good a model is on local data.

    Attributes:
        loss: Finite, and comparable between rounds.
        metrics: Numbers with names of the learner's own, such as `accuracy`; NaN where there is nothing to measure.
    """

    loss: float
    metrics: Mapping[str, float] = field(default_factory=dict)


class Learner(Protocol):
    """Trains on one member's data. Every method is a function of its arguments and that data alone.

    On a CPU, with a given number of threads, the same input gives the same bytes. A GPU adds in an order of its own, so
    that its results differ in the last bits.
    """

    def steps_for(self, epochs: int) -> int:
        """Number of optimiser steps in `epochs` passes over the member's training data, rounded up."""

    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        """Train.

        Raises:
            TrainingDiverged: A loss, a weight or the optimiser's state is no longer finite.
            TrainingFailed: The task's own code failed.
        """

    def measure(self, model: Arrays, private: Arrays | None, training: bool = False) -> Measured:
        """Measure a model on local data.

        Args:
            model: Shared tensors.
            private: Completes the model if some of its tensors are not shared; None before the member's first training.
            training: Whether to measure on the training set, or a fixed part of it if that is large; otherwise on data
                held out from training.

        Raises:
            TrainingFailed: The task's own code failed.
        """
