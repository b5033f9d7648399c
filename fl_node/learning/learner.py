"""One member's learner: training as a pure function of received model, private state and seed.

The private state is the tensors that are not shared and the state of the optimisers. Whether the optimisers keep that
state when received weights replace the local ones is the assignment's choice (`Assignment.fresh`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor

from fl_node.arrays import Array, Arrays
from fl_node.errors import Misuse, TrainingDiverged, TrainingFailed
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
from fl_node.learning.genesis import initial_tensors, tensor_shapes
from fl_node.learning.kinds import kind_of
from fl_node.learning.options import Options, at_round, in_steps
from fl_node.learning.steps import Examples, to_device
from fl_node.learning.tensors import fill_all
from fl_node.learning.torch_learner import TorchLearner
from fl_node.learning.transfer import array_dtype, to_arrays
from fl_node.learning.workplace import Workplace, leave, workplace
from fl_node.seeds import derive_seed
from fl_node.strategy.sharing import shared_names


def make_learner(
    options: Options,
    seed: int,
    images: Images,
    device: str | None = None,
    threads: int | None = None,
) -> MemberLearner:
    """One member's learner of a shipped kind. It sets up the process in which it trains, which may be another one.

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
    kind, chosen = kind_of(options), choose_device(device)
    verify_images(images, options)
    kind.verify(options, images)
    held_out, kept = split_held_out(len(images.pixels_NCHW), options.held_out, seed)
    return MemberLearner(
        kind.learner,
        options,
        seed,
        to_device(images.subset(kept), chosen),
        to_device(images.subset(held_out), chosen),
        tensor_shapes(options),
        partial(initial_tensors, options, seed),
        chosen,
        threads,
    )


MEASURED = 1024
"""The most training examples on which a loss is measured, so that a measurement takes no longer than some steps."""

Start = Callable[[Collection[str]], Arrays]
"""The values that tensors of these names have before anybody's first training."""


class MemberLearner:
    """Implements `fl_node.learner.Learner` for one member's data and any `TorchLearner`."""

    def __init__(
        self,
        learner: TorchLearner,
        options: Options,
        seed: int,
        examples: Examples,
        held_out: Examples,
        names: Collection[str],
        start: Start,
        device: torch.device,
        threads: int | None = None,
    ) -> None:
        """A learner on data that is split already.

        Args:
            learner: The model, and how it takes a step.
            options: The learner's.
            seed: The manifest's seed.
            examples: Those that are trained on, on the device.
            held_out: The others.
            names: Of all the model's tensors.
            start: Gives those that are not shared.
            device: From `choose_device`.
            threads: As for `make_learner`.

        Raises:
            ManifestInvalid: A pattern of `options.share` matches no tensor.
        """
        self._learner, self._options, self._seed = learner, options, seed
        self._examples, self._held_out = examples, held_out
        self._device, self._threads = device, threads
        self._shared = shared_names(names, options.share)
        self._unshared = tuple(sorted(set(names) - set(self._shared)))
        self._start = start

    def steps_for(self, epochs: int) -> int:
        """Number of optimiser steps in `epochs` passes over the member's training data, rounded up."""
        return math.ceil(epochs * len(self._examples) / self._options.batch)

    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        """Train; see `fl_node.learner.Learner`.

        Raises:
            TrainingDiverged: A loss, a weight or an optimiser's state is no longer finite.
            TrainingFailed: The learner's own code raised an error, or returned what cannot be used.
            Misuse: The assignment's arrays do not belong to this model.
        """
        options = in_steps(at_round(self._options, assignment.round), assignment.steps)
        place = self._workplace
        weights = self._complete(assignment.model, assignment.private)
        place.resume(options, weights, None if assignment.fresh else assignment.private)
        terms = self._terms(place, assignment)
        try:
            with place.random(assignment.seed, "train"):
                training_loss = place.runner.run(
                    options, self._examples, assignment.steps, assignment.seed, terms, progress
                )
            return self._trained(place, assignment, weights, training_loss, terms)
        except Exception:
            if not self._learner.recordable:
                leave()
            raise

    def measure(self, model: Arrays, private: Arrays | None, training: bool = False) -> Measured:
        """The loss and metrics on the held-out examples, or on at most `MEASURED` training examples.

        Raises:
            TrainingFailed: The learner's own code raised an error, or returned what cannot be used.
            Misuse: The arrays do not belong to this model.
        """
        place = self._workplace
        complete = place.model(self._complete(model, private))
        examples = self._measured if training else self._held_out
        with place.random(self._seed, "measure"):
            return self._learner.measured(self._options, complete, examples, self._seed)

    @property
    def _measured(self) -> Examples:
        """Training examples of all kinds, the same in every round."""
        random = np.random.default_rng(derive_seed(self._seed, "measured"))
        return self._examples.subset(random.permutation(len(self._examples))[:MEASURED])

    @property
    def _workplace(self) -> Workplace:
        prepare(self._device, self._threads)
        return workplace(self._learner, self._options, self._device)

    def _trained(
        self,
        place: Workplace,
        assignment: Assignment,
        weights: Arrays,
        training_loss: float,
        terms: Terms,
    ) -> Trained:
        tensors = place.tensors
        _verify_same_form(tensors, weights)
        moved = {
            name: tensor
            for name, tensor in tensors.items()
            if self._is_kept(name, tensor, assignment.private, weights[name])
        }
        arrays = to_arrays(moved) | place.state.arrays()
        _verify_finite(arrays)
        # Shared tensors of whole numbers are constants: what a training made of them is forgotten.
        shared = {name: arrays.pop(name, assignment.model[name]) for name in self._shared}
        return Trained(
            shared=shared,
            private=arrays,
            num_examples=len(self._examples),
            steps=assignment.steps,
            training_loss=training_loss,
            mean_gradient=_mean_gradient(terms, assignment.steps, shared),
        )

    def _is_kept(self, name: str, tensor: Tensor, private: Arrays | None, before: Array) -> bool:
        """Whether a tensor is part of the result. One that is as the task started, such as a frozen base, is not."""
        if name in self._shared:
            return tensor.is_floating_point()
        published = self._learner.opponent is not None and name.startswith(
            f"{self._learner.opponent}."
        )
        return (
            published
            or (private is not None and name in private)
            or not np.array_equal(tensor.numpy(force=True), before)
        )

    def _complete(self, shared: Arrays, private: Arrays | None) -> Arrays:
        """The received model, completed by the member's private tensors, or where it has none by the genesis."""
        own = {} if private is None else without_optimisers(private)
        lacking = [name for name in self._unshared if name not in own]
        return {**(self._start(lacking) if lacking else {}), **own, **shared}

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
        fill_all(
            self._learner.tensors(place.second_model),
            self._complete(assignment.received, assignment.private),
        )
        return SecondStream(self._learner.features(place.second_model), assignment.discrepancy)

    def _verify(self, arrays: Arrays) -> None:
        if arrays.keys() != set(self._shared):
            differing = min(arrays.keys() ^ set(self._shared))
            raise Misuse(f"the tensors differ from the shared ones, first in {differing!r}")


def _verify_same_form(tensors: Mapping[str, Tensor], before: Arrays) -> None:
    """Check that a training changed the model's values alone.

    Raises:
        TrainingFailed: A tensor has come, gone, or changed its shape or dtype.
    """
    for name in sorted(tensors.keys() | before.keys()):
        now = tensors.get(name)
        if now is None or name not in before or _form(name, now) != _form_of(before[name]):
            raise TrainingFailed(
                f"the training changed the model's form, first in {name!r}: names, shapes and dtypes are to stay"
            )


def _form(name: str, tensor: Tensor) -> tuple[object, ...]:
    return tuple(tensor.shape), array_dtype(name, tensor.dtype)


def _form_of(array: Array) -> tuple[object, ...]:
    return array.shape, array.dtype


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
