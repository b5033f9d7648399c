"""One member's learner: a piece of training as a pure function of received model, private state and seed.

What is not shared is private: unshared tensors, and the optimisers' state. The state stays when the weights beneath it
are replaced by received ones: between rounds the model moves by an average of such steps, so that the old moments are a
better guess than none.
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
from fl_node.learning.options import Options
from fl_node.learning.steps import Training, move_to, to_device
from fl_node.learning.tensors import fill_module, module_arrays, shared_names, to_array


def make_learner(
    options: Options,
    seed: int,
    images: Images,
    device: str | None = None,
    threads: int | None = None,
) -> MemberLearner:
    """Set this process up for training and give the learner of one member.

    Args:
        options: The model and how it trains.
        seed: The manifest's: unshared weights and the held-out split follow from it.
        images: All of this member's data.
        device: Such as `cpu` or `cuda:1`; None takes the fastest kind there is.
        threads: CPU threads, > 0; the same bytes come out for the same number only. None leaves torch's choice.

    Raises:
        DeviceUnusable: No such device here.
        DataUnusable: Fewer than 4 pictures, of another shape than the options', or without the classes to learn.
        ManifestInvalid: A pattern of `options.share` matches nothing.
    """
    chosen = choose_device(device)
    prepare(chosen, threads)
    return MemberLearner(options, seed, images, chosen)


class MemberLearner:
    """Implements `fl_node.learner.Learner` for one member's pictures and any kind of model."""

    def __init__(self, options: Options, seed: int, images: Images, device: torch.device) -> None:
        """Split the data and move it to the device once; arguments and errors are those of `make_learner`."""
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
        """Optimiser steps of so many passes over the member's training data; the last batch is completed."""
        return math.ceil(epochs * len(self._examples) / self._options.batch)

    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        """Train; see `fl_node.learner.Learner`.

        Raises:
            TrainingDiverged: A loss, a weight or what an optimiser keeps is no longer finite.
            Misuse: The assignment's arrays are not of this model.
        """
        trained = self._train(assignment, progress)
        release(self._device)
        return trained

    def measure(self, model: Arrays, private: Arrays | None) -> float:
        """The kind's loss on the held-out pictures: see `held_out_loss` in its room.

        Raises:
            Misuse: The arrays are not of this model.
        """
        complete = move_to(self._complete(model, private), self._device)
        return self._kind.held_out_loss(self._options, complete, self._held_out, self._seed)

    def _train(self, assignment: Assignment, progress: StepProgress) -> Trained:
        training = self._resume(assignment.model, assignment.private)
        gradient_sums = self._add_terms(training, assignment)
        training_loss = self._kind.train_steps(
            training,
            self._options,
            self._examples,
            assignment.steps,
            assignment.seed,
            self._second_stream(assignment),
            progress,
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

    def _resume(self, shared: Arrays, private: Arrays | None) -> Training:
        """The model and its optimisers as they were left."""
        model = self._complete(shared, private)
        training = self._kind.prepare_training(model, self._options, self._device)
        if private is not None:
            fill_optimisers(training, private)
        return training

    def _complete(self, shared: Arrays, private: Arrays | None) -> nn.ModuleDict:
        """The model as received, completed by what the member kept, or by the genesis in its first round."""
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
        """Where there is a correction, the sums of the gradients that it changes."""
        if assignment.mu:
            drift.pull(training, self._own(assignment.received), assignment.mu)
        if assignment.correction is None:
            return None
        return drift.correct(training, self._own(assignment.correction))

    def _second_stream(self, assignment: Assignment) -> drift.SecondStream | None:
        if not assignment.discrepancy:
            return None
        received = move_to(self._complete(assignment.received, assignment.private), self._device)
        # In training mode as the trained model, so that the two are one function at first.
        features = self._kind.features(received.requires_grad_(False))
        return drift.SecondStream(features, assignment.discrepancy)

    def _own(self, arrays: Arrays) -> Arrays:
        if arrays.keys() != set(self._shared):
            differing = min(arrays.keys() ^ set(self._shared))
            raise Misuse(f"the tensors are others than the shared ones, first {differing!r}")
        return arrays


def _verify_finite(arrays: Arrays) -> None:
    """The losses do not show what the last step did, nor a penalty; and what is kept is kept for every round to come.

    Raises:
        TrainingDiverged: An element of an array is not finite.
    """
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise TrainingDiverged(f"{name} is no longer finite; lower learning rates may help")


def _means(sums: dict[str, Tensor] | None, steps: int, shared: Arrays) -> dict[str, Array] | None:
    """Mean gradients under all shared names: 0 for what no gradient reaches, such as batch norm's statistics.

    Raises:
        TrainingDiverged: One is not finite.
    """
    if sums is None:
        return None
    means = {name: np.zeros_like(array) for name, array in shared.items()}
    means |= {name: to_array(total / steps) for name, total in sums.items()}
    _verify_finite(means)
    return means
