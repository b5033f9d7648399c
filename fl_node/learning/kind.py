"""What a kind of model brings, so that everything else can be written once for all kinds."""

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
    """The loop over a kind's steps."""

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
            training: Changed.
            options: The kind's own.
            examples: At least one.
            steps: > 0.
            seed: Every random choice follows from it.
            second: Adds its term to the loss of whatever sees the real pictures.
            progress: Told the mean losses since its last call.

        Returns:
            Mean over the steps of the kind's own losses, without added terms.

        Raises:
            TrainingDiverged: A loss is no longer finite.
        """


@dataclass(frozen=True, slots=True)
class Kind:
    """Functions, most of which take the kind's own options first.

    Attributes:
        options: (manifest, the stored weights of its extractor or None) to the kind's options.
        build: The modules; their weights are not yet meaningful, and no process-wide random number is drawn.
        initial: First value of a tensor, from its name and shape and the manifest's seed.
        verify: Raises `DataUnusable` for pictures of the right shape that this kind cannot learn from.
        prepare_training: Takes a model to a device and gives it fresh optimisers.
        train_steps: The loop.
        features: The function of pictures whose values the discrepancy between two models compares.
        held_out_loss: How good a model is on held-out pictures, less is better; a seed fixes what is drawn for it.
        judge: (options, trial) to what measures finished models.
        usage: (options, the model's parts, such as "generator") to lines of Python that use a finished `model`.
        draw: (options, model, path, seed) draws a grid of pictures into a PNG file; None for a kind that draws none.
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
