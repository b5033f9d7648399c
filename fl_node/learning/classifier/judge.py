"""The quality of a classifier on test pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fl_node.arrays import Arrays
from fl_node.learning.classifier.evaluation import accuracy
from fl_node.learning.classifier.options import ClassifierOptions
from fl_node.learning.judging import Trial


@dataclass(frozen=True, slots=True)
class ClassifierQuality:
    """Share of test pictures that are classified correctly, and the mean cross-entropy on them."""

    accuracy: float
    loss: float


class ClassifierJudge:
    """Measures classifiers on the test pictures."""

    facts: Mapping[str, Any] = {}

    def __init__(self, options: ClassifierOptions, trial: Trial) -> None:
        self._options, self._test, self._device = options, trial.test, trial.device

    def floor(self) -> None:
        """None: accuracy and loss need no comparison."""

    def judge(self, model: Arrays) -> ClassifierQuality:
        """Measure a model.

        Raises:
            Misuse: The tensors do not belong to this model, or the last layer is missing because members keep it.
            DataUnusable: Classes of the test pictures are missing or unknown.
        """
        return ClassifierQuality(*accuracy(self._options, model, self._test, self._device))
