"""One member's learner: a round of GAN training as a pure function of received model, private state and seed.

What is not shared is private: unshared tensors, and both Adams' state. Adam's moments stay when the weights beneath
them are replaced by received ones: between rounds the model moves by an average of such steps, so that the old moments
are a better guess than none.

The generator's average, where it is shared, is the average of the members' averages. Averaging over steps and averaging
over members are both linear, so this equals the average over steps of the mean generator.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from fl_node.arrays import Array, Arrays
from fl_node.errors import TrainingDiverged
from fl_node.learner import Assignment, Progress, Trained, no_progress
from fl_node.learning.data import Images, split_held_out, verify_images
from fl_node.learning.device import choose_device, prepare
from fl_node.learning.evaluation import MAX_REAL, SAMPLES, held_out_loss
from fl_node.learning.genesis import genesis, tensor_shapes
from fl_node.learning.models import build
from fl_node.learning.options import GanOptions
from fl_node.learning.tensors import (
    adam_arrays,
    fill_adam,
    fill_module,
    module_arrays,
    shared_names,
)
from fl_node.learning.training_loop import Training, prepare_training, to_pictures, train_steps
from fl_node.seeds import derive_seed


def make_learner(
    options: GanOptions,
    seed: int,
    images: Images,
    device: str | None = None,
    threads: int | None = None,
) -> DcganLearner:
    """Set this process up for training and give the learner of one member.

    Args:
        options: The model and how it trains.
        seed: The manifest's: unshared weights and the held-out split follow from it.
        images: All of this member's data.
        device: Such as `cpu` or `cuda:1`; None takes the fastest kind there is.
        threads: CPU threads, > 0; the same bytes come out for the same number only. None leaves torch's choice.

    Raises:
        DeviceUnusable: No such device here.
        DataUnusable: Fewer than 4 pictures, or of another shape than the options'.
        ManifestInvalid: A pattern of `options.share` matches nothing.
    """
    chosen = choose_device(device)
    prepare(chosen, threads)
    return DcganLearner(options, seed, images, chosen)


class DcganLearner:
    """Implements `fl_node.learner.Learner` for one member's pictures."""

    def __init__(
        self, options: GanOptions, seed: int, images: Images, device: torch.device
    ) -> None:
        """Split the data and move it to the device once.

        Args:
            options: The model and how it trains.
            seed: The manifest's; gives unshared weights and the split.
            images: All of this member's data.
            device: As `choose_device` gives it.

        Raises:
            DataUnusable: Fewer than 4 pictures.
            ManifestInvalid: A pattern of `options.share` matches nothing.
        """
        verify_images(images, options)
        held_out, kept = split_held_out(len(images.pixels_NCHW), options.held_out, seed)
        self._options, self._seed, self._device = options, seed, device
        self._pixels_NCHW = self._on_device(images.pixels_NCHW[kept])
        measured = images.pixels_NCHW[held_out[:MAX_REAL]]
        self._held_out_NCHW = to_pictures(self._on_device(measured))
        self._shared = shared_names(tensor_shapes(options), options.share)

    def steps_for(self, epochs: int) -> int:
        """Optimiser steps of so many passes over the member's training data; the last batch is completed."""
        return math.ceil(epochs * len(self._pixels_NCHW) / self._options.batch)

    def train(self, assignment: Assignment, progress: Progress = no_progress) -> Trained:
        """Train; see `fl_node.learner.Learner`.

        `training_loss` is the mean over the steps of discriminator plus generator loss, without penalties.

        Raises:
            TrainingDiverged: A loss, a weight or an optimiser's moment is no longer finite.
            Misuse: The assignment's arrays are not of this model.
        """
        training = self._resume(assignment.model, assignment.private)
        training_loss = train_steps(
            training, self._options, self._pixels_NCHW, assignment.steps, assignment.seed, progress
        )
        arrays = module_arrays(training.model) | _optimiser_arrays(training)
        _verify_finite(arrays)
        return Trained(
            shared={name: arrays.pop(name) for name in self._shared},
            private=arrays,
            num_examples=len(self._pixels_NCHW),
            steps=assignment.steps,
            training_loss=training_loss,
        )

    def measure(self, model: Arrays, private: Arrays | None) -> float:
        """Energy distance between held-out pictures and samples of the generator from fixed z.

        The generator's average is measured, where the model has one. Adversarial losses say little about the pictures,
        and this does.

        Raises:
            Misuse: The arrays are not of this model.
        """
        parts = self._complete(model, private).to(self._device)
        generator = parts["generator_ema" if "generator_ema" in parts else "generator"]
        # The same z in every round and on every device, so that rounds can be compared.
        random = torch.Generator().manual_seed(derive_seed(self._seed, "held-out z"))
        z_NZ = torch.randn(SAMPLES, self._options.latent, generator=random)
        return held_out_loss(generator, self._held_out_NCHW, z_NZ.to(self._device))

    def _resume(self, shared: Arrays, private: Arrays | None) -> Training:
        """The model and its optimisers as they were left."""
        model = self._complete(shared, private)
        training = prepare_training(model, self._options, self._device)
        if private is not None:
            for prefix, part, adam in _optimisers(training):
                fill_adam(adam, part, prefix, private)
        return training

    def _complete(self, shared: Arrays, private: Arrays | None) -> nn.ModuleDict:
        """The model as received, completed by what the member kept, or by the genesis in its first round."""
        kept = self._unshared_genesis() if private is None else private
        model = build(self._options)
        unshared = {name: kept[name] for name in kept if not name.startswith(_ADAMS)}
        fill_module(model, {**unshared, **shared})
        return model

    def _unshared_genesis(self) -> Arrays:
        model = genesis(self._options, self._seed)
        return {name: array for name, array in model.items() if name not in self._shared}

    def _on_device(self, pixels_NCHW: Array) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(pixels_NCHW)).to(self._device)


def _verify_finite(arrays: Arrays) -> None:
    """The losses do not show what the last step did, nor a penalty; and what is kept is kept for every round to come.

    Raises:
        TrainingDiverged: An element of an array is not finite.
    """
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise TrainingDiverged(f"{name} is no longer finite; lower learning rates may help")


def _optimiser_arrays(training: Training) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    for prefix, part, adam in _optimisers(training):
        arrays |= adam_arrays(adam, part, prefix)
    return arrays


_ADAMS = ("generator_adam.", "discriminator_adam.")


def _optimisers(training: Training) -> Iterator[tuple[str, nn.Module, torch.optim.Adam]]:
    yield "generator_adam", training.model["generator"], training.generator_adam
    yield "discriminator_adam", training.model["discriminator"], training.discriminator_adam
