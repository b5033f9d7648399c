"""Hierarchical averaging: an edge node averages its devices some times over before it sends one update.

To the round and to every algorithm the edge is a learner like another. kappa1 is the assignment's steps, which each
device takes between two edge averages; kappa2 is the number of edge averages.

Source: Liu et al. 2019, HierFAVG, arXiv:1905.06641, Algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fl_node.arrays import Array, Arrays, prefixed, unprefixed
from fl_node.learner import Assignment, Learner, StepProgress, Trained, no_progress
from fl_node.seeds import derive_seed
from fl_node.strategy.train.averages import mean_arrays


@dataclass(frozen=True, slots=True)
class EdgeLearner:
    """Several devices' learners as one. One device in one edge round trains as its own learner does, bit for bit.

    Attributes:
        devices: One or more.
        rounds: kappa2, > 0.
    """

    devices: Sequence[Learner]
    rounds: int = 1

    def steps_for(self, epochs: int) -> int:
        """Steps in which every device has passed over its data so many times; devices with less data pass again."""
        return max(device.steps_for(epochs) for device in self.devices)

    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        """Train every device from the edge's model, average, and do so again.

        Anchor and correction are the round's for all devices. Averages weigh by examples: of weights, losses and
        gradients alike.

        Returns:
            The last average; examples of all devices; steps of one device over all edge rounds, which is how far the
            edge's model has gone; private arrays as `device.INDEX.NAME`.

        Raises:
            TrainingDiverged: As the devices do.
        """
        edge = replace(assignment, anchor=assignment.received)
        averages = []
        for number in range(self.rounds):
            average = self._average(edge, number, progress)
            averages.append(average)
            edge = replace(edge, model=average.shared, private=average.private)
        gradients = [one.mean_gradient for one in averages if one.mean_gradient is not None]
        return replace(
            averages[-1],
            steps=sum(one.steps for one in averages),
            training_loss=math.fsum(one.training_loss for one in averages) / self.rounds,
            mean_gradient=mean_arrays(gradients, [1] * len(gradients)) if gradients else None,
        )

    def measure(self, model: Arrays, private: Arrays | None) -> float:
        """Mean of the devices' losses, each weighted by the steps of one pass over its data."""
        losses = [
            device.measure(model, _of_device(index, private))
            for index, device in enumerate(self.devices)
        ]
        return _mean(losses, [device.steps_for(1) for device in self.devices])

    def _average(self, edge: Assignment, number: int, progress: StepProgress) -> Trained:
        trained = [
            device.train(
                replace(
                    edge,
                    private=_of_device(index, edge.private),
                    seed=_device_seed(edge.seed, number, index),
                ),
                self._onward(progress, number, index),
            )
            for index, device in enumerate(self.devices)
        ]
        weights = [one.num_examples for one in trained]
        gradients = [one.mean_gradient for one in trained if one.mean_gradient is not None]
        return Trained(
            shared=mean_arrays([one.shared for one in trained], weights),
            private=_of_all([one.private for one in trained]),
            num_examples=sum(weights),
            steps=max(one.steps for one in trained),
            training_loss=_mean([one.training_loss for one in trained], weights),
            mean_gradient=mean_arrays(gradients, weights) if gradients else None,
        )

    def _onward(self, progress: StepProgress, number: int, index: int) -> StepProgress:
        """Count as if the devices, which take turns here, took their steps together."""
        devices = len(self.devices)
        return lambda step, steps, losses: progress(
            number * steps + (index * steps + step) // devices, self.rounds * steps, losses
        )


def _device_seed(seed: int, number: int, index: int) -> int:
    # The first keeps the member's own, so that an edge of one device is that device.
    return seed if number == index == 0 else derive_seed(seed, "edge", number, index)


def _of_device(index: int, private: Arrays | None) -> dict[str, Array] | None:
    return None if private is None else unprefixed(f"device.{index}.", private)


def _of_all(privates: Sequence[Arrays]) -> dict[str, Array]:
    return {
        name: array
        for index, private in enumerate(privates)
        for name, array in prefixed(f"device.{index}.", private).items()
    }


def _mean(values: Sequence[float], weights: Sequence[int]) -> float:
    total = sum(weights)
    # Shares first: one value alone keeps its bits.
    return math.fsum(
        value * (weight / total) for value, weight in zip(values, weights, strict=True)
    )
