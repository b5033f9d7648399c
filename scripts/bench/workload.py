"""What the benchmarks share: a model of the reference size, and a learner that takes no time."""

from __future__ import annotations

import numpy as np

from fl_node.arrays import Arrays
from fl_node.learner import Assignment, Measured, StepProgress, Trained, no_progress

# The convolutions of the DCGAN generator for 64x64 pictures: with the norms' 1,920 weights, 3,576,704 parameters.
SHAPES = {
    "generator.1.weight": (100, 512, 4, 4),
    "generator.2.weight": (512, 256, 4, 4),
    "generator.3.weight": (256, 128, 4, 4),
    "generator.4.weight": (128, 64, 4, 4),
    "generator.5.weight": (64, 3, 4, 4),
    "generator.norms": (1_920,),
}


def dcgan_sized(seed: int) -> dict[str, np.ndarray]:
    """Arrays with the shapes of the reference generator, 14.3 MB in float32, filled at random."""
    random = np.random.default_rng(seed)
    return {
        name: 0.02 * random.standard_normal(shape, dtype=np.float32)
        for name, shape in SHAPES.items()
    }


class RestingLearner:
    """Returns the received model plus a fixed difference, so that only the coordination takes time."""

    def __init__(self, seed: int) -> None:
        self._difference = dcgan_sized(seed)

    def steps_for(self, epochs: int) -> int:
        return epochs

    def measure(self, model: Arrays, private: Arrays | None, training: bool = False) -> Measured:
        return Measured(1.0)

    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        model = assignment.model
        moved = {name: array + self._difference[name] for name, array in model.items()}
        return Trained(moved, {"rounds": np.zeros(1)}, 100, 1, 1.0)
