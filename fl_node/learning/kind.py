"""The interface of a kind of model, so that everything else is written once for all kinds."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fl_node.arrays import Array, Arrays
from fl_node.learning.data import Images
from fl_node.learning.drift import Terms
from fl_node.learning.judging import Judge, Trial
from fl_node.learning.sampling import Sampler
from fl_node.learning.steps import Examples, Features, Step, Training


@dataclass(frozen=True, slots=True)
class Kind:
    """The functions of a kind of model, most of which take the kind's options first.

    Attributes:
        options: (manifest, the stored weights of its extractor or None) -> the kind's options.
        build: Gives the modules, with arbitrary weights and without using the process's random numbers.
        initial: (name, shape, the manifest's seed) -> a tensor's initial values.
        verify: Raises `DataUnusable` for pictures of the right shape that this kind cannot learn from.
        prepare_training: Moves a model to a device and creates its optimisers.
        tune: Sets the optimisers' knobs, such as rates, to those of a round's options.
        rates: The names of the options that are rates, which optimisers read in each step.
        losses: The names of the losses that a step returns. Their sum is the learner's own loss, without added terms.
        draw: (options, random numbers of the CPU) -> what one step draws beside its batch of pictures, by name.
        step: (training, options, terms) -> the function that takes one step.
        features: Gives the function of pictures whose outputs the discrepancy between two models compares.
        held_out_loss: A model's loss on held-out pictures, lower is better; the seed determines what is drawn for it.
        judge: (options, trial) -> the judge of finished models.
        usage: (options, the model's parts, such as "generator") -> lines of Python that use a finished `model`.
        opponent: The part of the model whose copies from other members a step takes as `Terms.opponents`; None without.
        sampler: (options, model, device) -> the model's sampler; None for a kind that draws no pictures.
    """

    options: Callable[[Any, Arrays | None], Any]
    build: Callable[[Any], nn.ModuleDict]
    initial: Callable[[str, tuple[int, ...], int], Array]
    verify: Callable[[Any, Images], None]
    prepare_training: Callable[[nn.ModuleDict, Any, torch.device], Training]
    tune: Callable[[Training, Any], None]
    rates: tuple[str, ...]
    losses: tuple[str, ...]
    draw: Callable[[Any, torch.Generator], dict[str, Tensor]]
    step: Callable[[Training, Any, Terms], Step]
    features: Callable[[nn.ModuleDict], Features]
    held_out_loss: Callable[[Any, nn.ModuleDict, Examples, int], float]
    judge: Callable[[Any, Trial], Judge]
    usage: Callable[[Any, Collection[str]], list[str]]
    opponent: str | None = None
    sampler: Callable[[Any, Arrays, torch.device], Sampler] | None = None
