"""The interface of a kind of model, so that everything else is written once for all kinds."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from fl_node.arrays import Array, Arrays
from fl_node.learner import StepProgress, no_progress
from fl_node.learning.data import Images
from fl_node.learning.drift import SecondStream
from fl_node.learning.judging import Judge, Trial
from fl_node.learning.steps import Examples, Features, Training


class TrainSteps(Protocol):
    """The training loop of a kind."""

    def __call__(
        self,
        training: Training,
        options: Any,
        examples: Examples,
        steps: int,
        seed: int,
        second: SecondStream | None = None,
        progress: StepProgress = no_progress,
    ) -> float:
        """Take optimiser steps, in place.

        Args:
            training: Model and optimisers; changed in place.
            options: The kind's options.
            examples: At least one.
            steps: > 0.
            seed: Determines every random choice.
            second: Adds its term to the loss of the network that sees the real pictures.
            progress: Called with the mean losses since the last call.

        Returns:
            Mean over the steps of the kind's own losses, without added terms.

        Raises:
            TrainingDiverged: A loss is no longer finite.
        """


@dataclass(frozen=True, slots=True)
class Kind:
    """The functions of a kind of model, most of which take the kind's options first.

    Attributes:
        options: (manifest, the stored weights of its extractor or None) -> the kind's options.
        build: Gives the modules, with arbitrary weights and without using the process's random numbers.
        initial: (name, shape, the manifest's seed) -> a tensor's initial values.
        verify: Raises `DataUnusable` for pictures of the right shape that this kind cannot learn from.
        prepare_training: Moves a model to a device and creates its optimisers.
        train_steps: The training loop.
        features: Gives the function of pictures whose outputs the discrepancy between two models compares.
        held_out_loss: A model's loss on held-out pictures, lower is better; the seed determines what is drawn for it.
        judge: (options, trial) -> the judge of finished models.
        usage: (options, the model's parts, such as "generator") -> lines of Python that use a finished `model`.
        draw: (options, model, path, seed) draws a grid of samples into a PNG file; None for a kind that cannot draw.
    """

    options: Callable[[Any, Arrays | None], Any]
    build: Callable[[Any], nn.ModuleDict]
    initial: Callable[[str, tuple[int, ...], int], Array]
    verify: Callable[[Any, Images], None]
    prepare_training: Callable[[nn.ModuleDict, Any, torch.device], Training]
    train_steps: TrainSteps
    features: Callable[[nn.ModuleDict], Features]
    held_out_loss: Callable[[Any, nn.ModuleDict, Examples, int], float]
    judge: Callable[[Any, Trial], Judge]
    usage: Callable[[Any, Collection[str]], list[str]]
    draw: Callable[[Any, Arrays, Path, int], None] | None = None
