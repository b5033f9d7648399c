"""The interface of a shipped kind of model, so that everything else is written once for all kinds."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import torch

from fl_node.arrays import Array, Arrays
from fl_node.learning.data import Images
from fl_node.learning.judging import Judge, Trial
from fl_node.learning.pictures import PictureLearner
from fl_node.learning.sampling import Sampler


@dataclass(frozen=True, slots=True)
class Kind:
    """What a kind of model has beside its training; most of the functions take the kind's options first.

    Attributes:
        learner: The model and how it is trained.
        options: (manifest, the stored weights of its extractor or None) -> the kind's options.
        initial: (name, shape, the manifest's seed) -> a tensor's initial values.
        verify: Raises `DataUnusable` for pictures of the right shape that this kind cannot learn from.
        judge: (options, trial) -> the judge of finished models.
        usage: (options, the model's parts, such as "generator") -> lines of Python that use a finished `model`.
        sampler: (options, model, device) -> the model's sampler; None for a kind that draws no pictures.
    """

    learner: PictureLearner
    options: Callable[[Any, Arrays | None], Any]
    initial: Callable[[str, tuple[int, ...], int], Array]
    verify: Callable[[Any, Images], None]
    judge: Callable[[Any, Trial], Judge]
    usage: Callable[[Any, Collection[str]], list[str]]
    sampler: Callable[[Any, Arrays, torch.device], Sampler] | None = None
