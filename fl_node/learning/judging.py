"""Measuring finished models on test pictures: the interface that `ganchor evaluate` uses for every kind of model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch

from fl_node.arrays import Arrays
from fl_node.learning.data import Images
from fl_node.learning.features import FeatureExtractor


@dataclass(frozen=True, slots=True)
class Trial:
    """The data and settings for measuring models.

    Attributes:
        train: Real pictures that members trained on.
        test: Real pictures that no member trained on.
        extractor: Gives the extractor for comparing pictures; called only by a kind that compares pictures.
        samples: Number of samples to draw, for a kind that draws samples; at most the number of `train` pictures.
        seed: Determines every random choice.
        device: The device on which models run.
        against: The real pictures with which samples are compared: `test`, or `train` as in most papers.
    """

    train: Images
    test: Images
    extractor: Callable[[], FeatureExtractor]
    samples: int
    seed: int
    device: torch.device
    against: Literal["test", "train"] = "test"


class Judge(Protocol):
    """Measures models of one kind. A quality is a dataclass of numbers."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the quality depends on besides the trial, by name."""

    def floor(self) -> Any | None:
        """The quality of real pictures in place of samples; None if there is nothing to compare with."""

    def judge(self, model: Arrays) -> Any:
        """The quality of a model.

        Raises:
            Misuse: The tensors are not of this kind's model.
            DataUnusable: The test pictures do not fit the model.
        """
