"""A learner that can be checked by hand: gradient descent on sum_j a_j (w_j - b_j)^2 / 2, with no torch.

The gradient a (w - b) is exact, so that after n steps of rate r the model is b + (1 - r a)^n (w - b), a proximal term
and a correction change that in closed form, and the members' common optimum is the mean of the b, weighted by the a.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fl_node.arrays import Array, Arrays
from fl_node.fields import Choice
from fl_node.history.past import Past
from fl_node.learner import Assignment, Learner, Measured, StepProgress, Trained, no_progress
from fl_node.strategy.train import TRAIN, Context, keep_pace


def point(*coordinates: float) -> dict[str, Array]:
    """The model at these coordinates: one float32 tensor, `w`."""
    return {"w": np.array(coordinates, np.float32)}


@dataclass(frozen=True)
class QuadraticLearner:
    """One member's parabola.

    Attributes:
        centre: b, where its loss is 0.
        curvature: a, > 0.
        rate: Of gradient descent.
        noise: Standard deviation of what is added to each gradient, from the assignment's seed.
        examples: Of the training set; one pass over it takes as many steps.
    """

    centre: Sequence[float]
    curvature: Sequence[float]
    rate: float = 0.1
    noise: float = 0.0
    examples: int = 1

    def steps_for(self, epochs: int) -> int:
        return epochs * self.examples

    def loss(self, w: Array) -> float:
        return float(np.sum(np.array(self.curvature) * (w - np.array(self.centre)) ** 2) / 2)

    def measure(self, model: Arrays, private: Arrays | None, training: bool = False) -> Measured:
        return Measured(self.loss(model["w"].astype(np.float64)))

    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        """The features that `discrepancy` compares are the coordinates themselves."""
        random = np.random.default_rng(assignment.seed)
        w = assignment.model["w"].astype(np.float64)
        anchor = (assignment.anchor or assignment.model)["w"].astype(np.float64)
        pull = assignment.mu + 2 * assignment.discrepancy
        correction: Any = 0.0 if assignment.correction is None else assignment.correction["w"]
        losses, gradients = [], []
        for step in range(1, assignment.steps + 1):
            losses.append(self.loss(w))
            slope = np.array(self.curvature) * (w - np.array(self.centre)) + pull * (w - anchor)
            gradients.append(slope + self.noise * random.normal(size=w.shape))
            w = w - self.rate * (gradients[-1] + correction)
            progress(step, assignment.steps, {"loss": losses[-1]})
        before = 0 if assignment.private is None else int(assignment.private["steps"][0])
        return Trained(
            shared={"w": w.astype(np.float32)},
            private={"steps": np.array([before + assignment.steps])},
            num_examples=self.examples,
            steps=assignment.steps,
            training_loss=float(np.mean(losses)),
            mean_gradient=None
            if assignment.correction is None
            else {"w": np.mean(gradients, axis=0).astype(np.float32)},
        )


@dataclass
class Recording:
    """Keeps what its learner was asked for."""

    learner: QuadraticLearner
    assignments: list[Assignment] = field(default_factory=list)

    def steps_for(self, epochs: int) -> int:
        return self.learner.steps_for(epochs)

    def measure(self, model: Arrays, private: Arrays | None, training: bool = False) -> Measured:
        return self.learner.measure(model, private, training)

    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        self.assignments.append(assignment)
        return self.learner.train(assignment, progress)


def optimum(learners: Sequence[QuadraticLearner]) -> Array:
    """Where the sum of the members' losses is least."""
    curvatures = np.array([learner.curvature for learner in learners])
    centres = np.array([learner.centre for learner in learners])
    return np.asarray((curvatures * centres).sum(axis=0) / curvatures.sum(axis=0))


def train_once(
    choice: Choice,
    learner: Learner,
    assignment: Assignment,
    past: Past = (),
    server: Arrays | None = None,
) -> Trained:
    """Carry a choice of `strategy.train` out."""
    return TRAIN[type(choice)].run(choice, learner, assignment, Context(past, server or {}))


def federate(
    choice: Choice,
    learners: Sequence[QuadraticLearner],
    rounds: int,
    steps: int,
    cohort: int | None = None,
) -> dict[str, Array]:
    """Run rounds of a choice from the origin: everybody weighs the same, cohorts of a size take turns.

    Returns:
        The last model.
    """
    model = point(*[0.0] * len(learners[0].centre))
    control = {"w": np.zeros_like(model["w"])}
    privates: list[Arrays | None] = [None] * len(learners)
    size = cohort or len(learners)
    for number in range(rounds):
        chosen = [(number * size + offset) % len(learners) for offset in range(size)]
        sent = []
        for index in chosen:
            assignment = Assignment(model, privates[index], seed=number, steps=steps)
            trained = train_once(choice, learners[index], assignment, server=control)
            privates[index] = keep_pace(choice, trained.private, trained.sent)
            sent.append(trained)
        changes = [{"w": one.sent["control.w"]} for one in sent if one.sent]
        control = TRAIN[type(choice)].advance(choice, control, changes, len(learners))
        mean = np.mean([one.shared["w"] for one in sent], axis=0)
        model = {"w": mean.astype(np.float32)}
    return model


def equal(one: Trained, other: Trained) -> bool:
    """Whether two trainings gave the same, bit for bit."""
    plain = replace(one, shared={}, private={}, sent={}, mean_gradient=None) == replace(
        other, shared={}, private={}, sent={}, mean_gradient=None
    )
    return plain and all(
        same_bits(getattr(one, name) or {}, getattr(other, name) or {})
        for name in ("shared", "private", "sent", "mean_gradient")
    )


def same_bits(one: Arrays, other: Arrays) -> bool:
    """Whether two sets of arrays have the same names, shapes, dtypes and bytes."""
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype
        and one[name].shape == other[name].shape
        and one[name].tobytes() == other[name].tobytes()
        for name in one
    )
