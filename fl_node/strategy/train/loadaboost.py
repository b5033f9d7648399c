"""LoAdaBoost: stop early where the loss is good, and train on where it is not.

Everyone knows the median loss of the last round. A member trains half of its work; while its loss is above that
median it trains on in shrinking portions, until it is at or under it, or until one and a half times the work is done.

A learner over a learner: FedProx, SCAFFOLD or Ditto run on it as on any other, with their anchor and their variates
fixed for the whole round. The unit is the optimiser step and not the epoch, so that the portions are defined for any
amount of work. For a GAN the training loss says little: hold the held-out loss against the median.

Source: Huang et al. 2018, arXiv:1811.12629.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from fl_node.arrays import Arrays
from fl_node.fields import Loss
from fl_node.learner import Assignment, Learner, StepProgress, Trained, no_progress
from fl_node.seeds import derive_seed
from fl_node.strategy.train.averages import mean_arrays


@dataclass(frozen=True, slots=True)
class UntilMedian:
    """A learner that trains another one until a loss is reached.

    Attributes:
        learner: Does the training.
        target: The median of the training losses that the last round recorded; None where there is none yet, and the
            work is done whole.
        loss: What is held against the target: the training loss of the last portion, or the held-out loss of the
            model after it. It is also what `Trained.training_loss` says, so that the chain records what the next
            round's median is taken of.
    """

    learner: Learner
    target: float | None
    loss: Loss = "training"

    def steps_for(self, epochs: int) -> int:
        """As the learner's; the work that is halved or exceeded."""
        return self.learner.steps_for(epochs)

    def measure(self, model: Arrays, private: Arrays | None) -> float:
        """As the learner's."""
        return self.learner.measure(model, private)

    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        """Train portion after portion.

        Returns:
            The last portion's model, private arrays and loss; the steps of all portions, and the mean gradient over
            them.

        Raises:
            TrainingDiverged: As the learner does.
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
        if self.loss == "training":
            return trained
        return replace(trained, training_loss=self.measure(trained.shared, trained.private))


def portions(steps: int) -> Iterator[int]:
    """Cut the work into portions that never grow: at most five, from half of `steps` to one and a half times in sum.

    Half of the steps, rounded up; then half of what is left up to the limit, again and again, but never less than an
    eighth of the steps: of 80 steps 40, 40, 20, 10, 10. So few measurements interrupt the training.

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
    """Count on from the steps already done, up to those that it may take at most."""
    done = 0 if before is None else before.steps
    most = assignment.steps + assignment.steps // 2
    return lambda step, steps, losses: progress(done + step, most * steps // portion, losses)
