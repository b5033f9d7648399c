"""One member's learner: training as a pure function of received model, private state and seed.

The private state is the tensors that are not shared and the state of the optimisers. Whether the optimisers keep that
state when received weights replace the local ones is the assignment's choice (`Assignment.fresh`).
"""

from __future__ import annotations

import math

import numpy as np
import torch

from fl_node.arrays import Array, Arrays
from fl_node.errors import Misuse, TrainingDiverged
from fl_node.learner import (
    Assignment,
    Measured,
    StepProgress,
    Trained,
    no_progress,
    without_optimisers,
)
from fl_node.learning.data import Images, split_held_out, verify_images
from fl_node.learning.device import choose_device, prepare
from fl_node.learning.drift import SecondStream, Terms
from fl_node.learning.genesis import tensor_shapes
from fl_node.learning.kind import Kind
from fl_node.learning.kinds import kind_of
from fl_node.learning.optimisers import optimiser_arrays
from fl_node.learning.options import Options, at_round, in_steps
from fl_node.learning.steps import Examples, Training, to_device
from fl_node.learning.tensors import fill_module, module_arrays
from fl_node.learning.workplace import Workplace, workplace
from fl_node.seeds import derive_seed
from fl_node.strategy.sharing import shared_names


def make_learner(
    options: Options,
    seed: int,
    images: Images,
    device: str | None = None,
    threads: int | None = None,
) -> MemberLearner:
    """One member's learner. It sets up the process in which it trains or measures, which may be another one.

    Args:
        options: The model and how it is trained.
        seed: The manifest's seed; it determines unshared weights and the held-out split.
        images: All of this member's data.
        device: Such as `cpu` or `cuda:1`; None uses the fastest kind that is available.
        threads: CPU threads, > 0. The same number gives the same bytes. None keeps torch's default.

    Raises:
        DeviceUnusable: This machine has no such device.
        DataUnusable: There are fewer than 4 pictures, their shape differs from the options', or their classes are
            missing or unknown.
        ManifestInvalid: A pattern of `options.share` matches no tensor.
    """
    return MemberLearner(options, seed, images, choose_device(device), threads)


MEASURED = 1024
"""The most training pictures on which a loss is measured, so that a measurement takes no longer than some steps."""


class MemberLearner:
    """Implements `fl_node.learner.Learner` for one member's pictures and any kind of model."""

    def __init__(
        self,
        options: Options,
        seed: int,
        images: Images,
        device: torch.device,
        threads: int | None = None,
    ) -> None:
        """Split the data and move it to the device; arguments and errors are as for `make_learner`."""
        verify_images(images, options)
        kind_of(options).verify(options, images)
        held_out, kept = split_held_out(len(images.pixels_NCHW), options.held_out, seed)
        self._options, self._seed = options, seed
        self._device, self._threads = device, threads
        self._examples = to_device(images.subset(kept), device)
        self._held_out = to_device(images.subset(held_out), device)
        self._shapes = tensor_shapes(options)
        self._shared = shared_names(self._shapes, options.share)

    def steps_for(self, epochs: int) -> int:
        """Number of optimiser steps in `epochs` passes over the member's training data, rounded up."""
        return math.ceil(epochs * len(self._examples) / self._options.batch)

    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        """Train; see `fl_node.learner.Learner`.

        Raises:
            TrainingDiverged: A loss, a weight or an optimiser's state is no longer finite.
            Misuse: The assignment's arrays do not belong to this model.
        """
        options = in_steps(at_round(self._options, assignment.round), assignment.steps)
        place = self._workplace
        weights = self._complete(assignment.model, assignment.private)
        training = place.resume(options, weights, None if assignment.fresh else assignment.private)
        terms = self._terms(place, assignment)
        training_loss = place.runner.run(
            options, self._examples, assignment.steps, assignment.seed, terms, progress
        )
        return self._trained(training, assignment.steps, training_loss, terms)

    def measure(self, model: Arrays, private: Arrays | None, training: bool = False) -> Measured:
        """The loss on the held-out pictures, or on at most `MEASURED` training pictures: see `Kind.held_out_loss`.

        Raises:
            Misuse: The arrays do not belong to this model.
        """
        complete = self._workplace.model(self._complete(model, private))
        pictures = self._measured if training else self._held_out
        loss = self._kind.held_out_loss(self._options, complete, pictures, self._seed)
        return Measured(loss)

    @property
    def _kind(self) -> Kind:
        # Looked up each time, because its functions cannot go to other processes.
        return kind_of(self._options)

    @property
    def _measured(self) -> Examples:
        """Training pictures of all kinds, the same in every round."""
        random = np.random.default_rng(derive_seed(self._seed, "measured"))
        return self._examples.subset(random.permutation(len(self._examples))[:MEASURED])

    @property
    def _workplace(self) -> Workplace:
        prepare(self._device, self._threads)
        return workplace(self._options, self._device)

    def _trained(
        self, training: Training, steps: int, training_loss: float, terms: Terms
    ) -> Trained:
        arrays = module_arrays(training.model) | optimiser_arrays(training)
        _verify_finite(arrays)
        shared = {name: arrays.pop(name) for name in self._shared}
        return Trained(
            shared=shared,
            private=arrays,
            num_examples=len(self._examples),
            steps=steps,
            training_loss=training_loss,
            mean_gradient=_mean_gradient(terms, steps, shared),
        )

    def _complete(self, shared: Arrays, private: Arrays | None) -> Arrays:
        """The received model, completed by the member's private tensors, or in its first round by the genesis."""
        return {
            **(self._unshared_genesis() if private is None else without_optimisers(private)),
            **shared,
        }

    def _unshared_genesis(self) -> Arrays:
        return {
            name: self._kind.initial(name, shape, self._seed)
            for name, shape in self._shapes.items()
            if name not in self._shared
        }

    def _terms(self, place: Workplace, assignment: Assignment) -> Terms:
        """What the assignment adds to each step."""
        received, mu, correction = assignment.received, assignment.mu, assignment.correction
        if mu:
            self._verify(received)
        if correction is not None:
            self._verify(correction)
        place.gradient_terms.set(received, mu, correction)
        second = self._second_stream(place, assignment)
        return Terms(second, place.gradient_terms, place.opponents(assignment.opponents))

    def _second_stream(self, place: Workplace, assignment: Assignment) -> SecondStream | None:
        if not assignment.discrepancy:
            return None
        # In training mode, like the trained model, so that the two are the same function at the start.
        fill_module(place.second_model, self._complete(assignment.received, assignment.private))
        return SecondStream(self._kind.features(place.second_model), assignment.discrepancy)

    def _verify(self, arrays: Arrays) -> None:
        if arrays.keys() != set(self._shared):
            differing = min(arrays.keys() ^ set(self._shared))
            raise Misuse(f"the tensors differ from the shared ones, first in {differing!r}")


def _verify_finite(arrays: Arrays) -> None:
    """Check the arrays too: losses do not show the last step or a penalty, and private arrays are kept for all rounds.

    Raises:
        TrainingDiverged: An element of an array is not finite.
    """
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise TrainingDiverged(f"{name} is no longer finite; lower learning rates may help")


def _mean_gradient(terms: Terms, steps: int, shared: Arrays) -> dict[str, Array] | None:
    """Mean gradients for all shared tensors; 0 for a tensor without gradient, such as batch norm's statistics.

    Raises:
        TrainingDiverged: A mean is not finite.
    """
    if terms.gradients is None or not terms.gradients.corrects:
        return None
    means = {name: np.zeros_like(array) for name, array in shared.items()}
    means |= terms.gradients.mean_gradients(steps)
    _verify_finite(means)
    return means
