"""One member's learner: training as a pure function of received model, private state and seed.

The private state is the tensors that are not shared and the state of the optimisers. The optimisers keep their state
when received weights replace the local ones: between rounds the model moves by an average of such steps, so the old
moments are a better estimate than none.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from fl_node.arrays import Array, Arrays
from fl_node.errors import Misuse, TrainingDiverged
from fl_node.learner import Assignment, StepProgress, Trained, no_progress
from fl_node.learning import drift
from fl_node.learning.data import Images, split_held_out, verify_images
from fl_node.learning.device import choose_device, prepare, release
from fl_node.learning.genesis import tensor_shapes
from fl_node.learning.kinds import kind_of
from fl_node.learning.optimisers import PREFIX, fill_optimisers, optimiser_arrays
from fl_node.learning.options import Options, at_round
from fl_node.learning.run import Runner
from fl_node.learning.steps import Training, move_to, to_device
from fl_node.learning.tensors import fill_module, module_arrays, shared_names, to_array


def make_learner(
    options: Options,
    seed: int,
    images: Images,
    device: str | None = None,
    threads: int | None = None,
) -> MemberLearner:
    """Set up this process for training and give one member's learner.

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
    chosen = choose_device(device)
    prepare(chosen, threads)
    return MemberLearner(options, seed, images, chosen)


class MemberLearner:
    """Implements `fl_node.learner.Learner` for one member's pictures and any kind of model."""

    def __init__(self, options: Options, seed: int, images: Images, device: torch.device) -> None:
        """Split the data and move it to the device; arguments and errors are as for `make_learner`."""
        self._kind = kind_of(options)
        verify_images(images, options)
        self._kind.verify(options, images)
        held_out, kept = split_held_out(len(images.pixels_NCHW), options.held_out, seed)
        self._options, self._seed, self._device = options, seed, device
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
        trained = self._train(assignment, progress)
        release(self._device)
        return trained

    def measure(self, model: Arrays, private: Arrays | None) -> float:
        """The loss on the held-out pictures: see the kind's `held_out_loss`.

        Raises:
            Misuse: The arrays do not belong to this model.
        """
        complete = move_to(self._complete(model, private), self._device)
        return self._kind.held_out_loss(self._options, complete, self._held_out, self._seed)

    def _train(self, assignment: Assignment, progress: StepProgress) -> Trained:
        options = at_round(self._options, assignment.round)
        training = self._resume(options, assignment.model, assignment.private)
        gradient_sums = self._add_terms(training, assignment)
        terms = drift.Terms(second=self._second_stream(assignment))
        training_loss = Runner(self._kind, training, self._examples).run(
            options, assignment.steps, assignment.seed, terms, progress
        )
        arrays = module_arrays(training.model) | optimiser_arrays(training)
        _verify_finite(arrays)
        shared = {name: arrays.pop(name) for name in self._shared}
        return Trained(
            shared=shared,
            private=arrays,
            num_examples=len(self._examples),
            steps=assignment.steps,
            training_loss=training_loss,
            mean_gradient=_means(gradient_sums, assignment.steps, shared),
        )

    def _resume(self, options: Options, shared: Arrays, private: Arrays | None) -> Training:
        """The model and its optimisers, with the state that they had after the last training."""
        model = self._complete(shared, private)
        training = self._kind.prepare_training(model, options, self._device)
        if private is not None:
            fill_optimisers(training, private)
        return training

    def _complete(self, shared: Arrays, private: Arrays | None) -> nn.ModuleDict:
        """The received model, completed by the member's private tensors, or in its first round by the genesis."""
        kept = self._unshared_genesis() if private is None else private
        model = self._kind.build(self._options)
        unshared = {name: kept[name] for name in kept if not name.startswith(PREFIX)}
        fill_module(model, {**unshared, **shared})
        return model

    def _unshared_genesis(self) -> Arrays:
        return {
            name: self._kind.initial(name, shape, self._seed)
            for name, shape in self._shapes.items()
            if name not in self._shared
        }

    def _add_terms(self, training: Training, assignment: Assignment) -> dict[str, Tensor] | None:
        """Add the assignment's terms; with a correction, return the sums of the gradients before it."""
        if assignment.mu:
            drift.pull(training, self._verified(assignment.received), assignment.mu)
        if assignment.correction is None:
            return None
        return drift.correct(training, self._verified(assignment.correction))

    def _second_stream(self, assignment: Assignment) -> drift.SecondStream | None:
        if not assignment.discrepancy:
            return None
        received = move_to(self._complete(assignment.received, assignment.private), self._device)
        # In training mode, like the trained model, so that the two are the same function at the start.
        features = self._kind.features(received.requires_grad_(False))
        return drift.SecondStream(features, assignment.discrepancy)

    def _verified(self, arrays: Arrays) -> Arrays:
        if arrays.keys() != set(self._shared):
            differing = min(arrays.keys() ^ set(self._shared))
            raise Misuse(f"the tensors differ from the shared ones, first in {differing!r}")
        return arrays


def _verify_finite(arrays: Arrays) -> None:
    """Check the arrays too: losses do not show the last step or a penalty, and private arrays are kept for all rounds.

    Raises:
        TrainingDiverged: An element of an array is not finite.
    """
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise TrainingDiverged(f"{name} is no longer finite; lower learning rates may help")


def _means(sums: dict[str, Tensor] | None, steps: int, shared: Arrays) -> dict[str, Array] | None:
    """Mean gradients for all shared tensors; 0 for a tensor without gradient, such as batch norm's statistics.

    Raises:
        TrainingDiverged: A mean is not finite.
    """
    if sums is None:
        return None
    means = {name: np.zeros_like(array) for name, array in shared.items()}
    means |= {name: to_array(total / steps) for name, total in sums.items()}
    _verify_finite(means)
    return means
