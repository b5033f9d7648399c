"""How good finished models are, on test pictures: what `ganchor evaluate` asks of every kind of model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from fl_node.arrays import Arrays
from fl_node.learning.data import Images
from fl_node.learning.features import FeatureExtractor


@dataclass(frozen=True, slots=True)
class Trial:
    """What models are judged on.

    Attributes:
        train: Real pictures that members trained on.
        test: Real pictures that nobody trained on.
        extractor: Gives what pictures are compared by; called only by a kind that compares some.
        samples: Pictures to draw, for a kind that draws some; at most as many as `train` has are drawn.
        seed: Every random choice follows from it.
        device: Where models run.
    """

    train: Images
    test: Images
    extractor: Callable[[], FeatureExtractor]
    samples: int
    seed: int
    device: torch.device


class Judge(Protocol):
    """Measures models of one kind. Qualities are dataclasses of numbers."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the numbers depend on besides the trial, by name."""

    def floor(self) -> Any | None:
        """The quality that real pictures get in the place of samples; None for a kind that draws none."""

    def judge(self, model: Arrays) -> Any:
        """The quality of a model.

        Raises:
            Misuse: The tensors are not of this kind's model.
            DataUnusable: The test pictures do not fit the model.
        """
