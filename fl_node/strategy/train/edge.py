"""A simulation of hierarchical averaging: an edge node averages its devices several times before it sends one update.

The devices are parts of a member's data that one process trains in turn, so no network traffic is saved.

To the round and to every algorithm, the edge node is an ordinary learner. In the paper's terms, kappa1 is the
assignment's number of steps, which each device takes between two edge averages, and kappa2 is the number of averages.

Source: Liu et al. 2019, HierFAVG, arXiv:1905.06641, Algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fl_node.arrays import Array, Arrays, prefixed, unprefixed
from fl_node.learner import (
    Assignment,
    Learner,
    Measured,
    StepProgress,
    Trained,
    no_progress,
)
from fl_node.seeds import derive_seed
from fl_node.strategy.train.averages import mean_arrays


@dataclass(frozen=True, slots=True)
class EdgeLearner:
    """Several devices' learners as one learner. A single device in one edge round trains exactly as it would alone.

    Attributes:
        devices: At least one.
        rounds: Number of edge rounds, each of which ends with an average (kappa2), > 0.
    """

    devices: Sequence[Learner]
    rounds: int = 1

    def steps_for(self, epochs: int) -> int:
        """Number of steps in which every device completes `epochs` passes; devices with less data complete more."""
        return max(device.steps_for(epochs) for device in self.devices)

    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        """In each edge round, train every device from the edge node's model and average the results.

        All devices use the round's anchor and correction. Weights, losses and gradients are averaged by number of
        examples.

        Returns:
            The last average; the examples of all devices; the steps of one device over all edge rounds, which measure
            how far the edge node's model has moved; private arrays as `device.INDEX.NAME`.

        Raises:
            TrainingDiverged: A device's learner raised it.
        """
        edge = replace(assignment, anchor=assignment.received)
        averages = []
        for number in range(self.rounds):
            average = self._average(edge, number, progress)
            averages.append(average)
            edge = replace(edge, model=average.shared, private=average.private, fresh=False)
        gradients = [
            average.mean_gradient for average in averages if average.mean_gradient is not None
        ]
        return replace(
            averages[-1],
            steps=sum(average.steps for average in averages),
            training_loss=math.fsum(average.training_loss for average in averages) / self.rounds,
            mean_gradient=mean_arrays(gradients, [1] * len(gradients)) if gradients else None,
        )

    def measure(self, model: Arrays, private: Arrays | None, training: bool = False) -> Measured:
        """Means over the devices, each weighted by the number of steps in one pass over the device's data."""
        measured = [
            device.measure(model, _of_device(index, private), training)
            for index, device in enumerate(self.devices)
        ]
        passes = [device.steps_for(1) for device in self.devices]
        return Measured(
            _mean([one.loss for one in measured], passes),
            _mean_metrics([one.metrics for one in measured], passes),
        )

    def _average(self, edge: Assignment, number: int, progress: StepProgress) -> Trained:
        results = [
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
        weights = [trained.num_examples for trained in results]
        gradients = [
            trained.mean_gradient for trained in results if trained.mean_gradient is not None
        ]
        return Trained(
            shared=mean_arrays([trained.shared for trained in results], weights),
            private=_of_all([trained.private for trained in results]),
            num_examples=sum(weights),
            steps=max(trained.steps for trained in results),
            training_loss=_mean([trained.training_loss for trained in results], weights),
            mean_gradient=mean_arrays(gradients, weights) if gradients else None,
            metrics=_mean_metrics([trained.metrics for trained in results], weights),
            versions=results[0].versions,
        )

    def _onward(self, progress: StepProgress, number: int, index: int) -> StepProgress:
        """Report progress as if the devices, which really take turns, trained at the same time."""
        devices = len(self.devices)
        return lambda step, steps, losses: progress(
            number * steps + (index * steps + step) // devices, self.rounds * steps, losses
        )


def _device_seed(seed: int, number: int, index: int) -> int:
    # The first device keeps the member's seed, so that an edge node with one device trains exactly as that device.
    return seed if number == index == 0 else derive_seed(seed, "edge", number, index)


def _of_device(index: int, private: Arrays | None) -> dict[str, Array] | None:
    return None if private is None else unprefixed(f"device.{index}.", private)


def _of_all(privates: Sequence[Arrays]) -> dict[str, Array]:
    return {
        name: array
        for index, private in enumerate(privates)
        for name, array in prefixed(f"device.{index}.", private).items()
    }


def _mean_metrics(
    metrics: Sequence[Mapping[str, float]], weights: Sequence[int]
) -> dict[str, float]:
    """Means of the metrics that every device has."""
    common = set.intersection(*(set(one) for one in metrics))
    return {name: _mean([one[name] for one in metrics], weights) for name in sorted(common)}


def _mean(values: Sequence[float], weights: Sequence[int]) -> float:
    total = sum(weights)
    # Multiplying by shares keeps the bits of a single value.
    return math.fsum(
        value * (weight / total) for value, weight in zip(values, weights, strict=True)
    )
