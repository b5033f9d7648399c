"""LoAdaBoost: a member stops early if its loss is good, and trains longer if it is not.

All members know the median loss of the last round. A member first does half of its work. While its loss is above the
median, it trains on in shrinking portions, until the loss is at or below the median or it has done one and a half times
the work.

It is a learner that wraps another: FedProx, SCAFFOLD or Ditto run on it as on any other, with their anchor and control
variates fixed for the whole round. Portions are counted in optimiser steps rather than epochs, so that they are defined
for any amount of work. A GAN's training loss says little about its quality: use the held-out loss instead.

Source: Huang et al. 2018, arXiv:1811.12629.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from fl_node.arrays import Arrays
from fl_node.fields import Loss
from fl_node.learner import Assignment, Learner, Measured, StepProgress, Trained, no_progress
from fl_node.seeds import derive_seed
from fl_node.strategy.train.averages import mean_arrays


@dataclass(frozen=True, slots=True)
class UntilMedian:
    """A learner that trains another one until a loss is reached.

    Attributes:
        learner: Does the training.
        target: The median of the training losses that the last round recorded; None if there is none yet, in which case
            all of the work is done.
        loss: The loss that is compared with the target: that of the model after the last portion, on training or
            held-out data. It also becomes `Trained.training_loss`, so that the chain records the loss from which the
            next round's median is computed. A mean over the portion's steps would be too large, most of all in short
            portions, because it contains the losses from before the training.
    """

    learner: Learner
    target: float | None
    loss: Loss = "training"

    def steps_for(self, epochs: int) -> int:
        """The wrapped learner's number of steps, which is the work before it is cut or extended."""
        return self.learner.steps_for(epochs)

    def measure(self, model: Arrays, private: Arrays | None, training: bool = False) -> Measured:
        """The wrapped learner's measurement."""
        return self.learner.measure(model, private, training)

    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        """Train in portions until the target is reached.

        Returns:
            The last portion's model, private arrays and loss; the steps of all portions, and their mean gradient.

        Raises:
            TrainingDiverged: The wrapped learner raised it.
        """
        if self.target is None:
            return self._judged(self.learner.train(assignment, progress))
        first, *rest = portions(assignment.steps)
        trained = self._trained_on(assignment, None, 0, first, progress)
        for index, steps in enumerate(rest, start=1):
            if trained.training_loss <= self.target:
                break
            trained = self._trained_on(assignment, trained, index, steps, progress)
        return trained

    def _trained_on(
        self,
        assignment: Assignment,
        before: Trained | None,
        index: int,
        steps: int,
        progress: StepProgress,
    ) -> Trained:
        portion = _portion(assignment, before, index, steps)
        part = self.learner.train(portion, _onward(progress, assignment, before, steps))
        return self._judged(part if before is None else _joined(before, part))

    def _judged(self, trained: Trained) -> Trained:
        seen = self.loss == "training"
        measured = self.measure(trained.shared, trained.private, seen)
        return replace(trained, training_loss=measured.loss)


def portions(steps: int) -> Iterator[int]:
    """Cut the work into at most five portions, which never grow and add up to one and a half times `steps`.

    For example, 80 steps give portions of 40, 40, 20, 10 and 10. The first portion is half of the steps, rounded up.
    Each further portion is half of the rest, but at least an eighth of `steps`, so that few measurements interrupt the
    training.

    Args:
        steps: > 0.
    """
    portion = -(-steps // 2)
    left = steps + steps // 2 - portion
    yield portion
    while left:
        portion = min(left, max(-(-left // 2), -(-steps // 8)))
        left -= portion
        yield portion


def _portion(assignment: Assignment, before: Trained | None, index: int, steps: int) -> Assignment:
    return replace(
        assignment,
        model=assignment.model if before is None else before.shared,
        private=assignment.private if before is None else before.private,
        seed=derive_seed(assignment.seed, "portion", index),
        steps=steps,
        fresh=assignment.fresh and before is None,
        anchor=assignment.received,
    )


def _joined(before: Trained, part: Trained) -> Trained:
    gradient = part.mean_gradient
    if gradient is not None and before.mean_gradient is not None:
        gradient = mean_arrays([before.mean_gradient, gradient], [before.steps, part.steps])
    return replace(part, steps=before.steps + part.steps, mean_gradient=gradient)


def _onward(
    progress: StepProgress, assignment: Assignment, before: Trained | None, portion: int
) -> StepProgress:
    """Report progress that continues from the steps already done, out of the most that are possible."""
    done = 0 if before is None else before.steps
    most = assignment.steps + assignment.steps // 2
    return lambda step, steps, losses: progress(done + step, most * steps // portion, losses)
