"""The quality of a model that makes pictures: its samples, compared with real pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fl_node.arrays import Array, Arrays
from fl_node.learning.data import Images
from fl_node.learning.judging import Trial
from fl_node.learning.labels import Conditional, verify_conditions
from fl_node.learning.sampling import Sampler, draw_samples
from fl_node.measures import Coverage, coverage, fid, fid_with_error, kid_with_error
from fl_node.seeds import derive_seed

WIDEST = 256
"""The most features for which FID gets a standard error. With Inception's 2048, every draw takes many seconds."""


@dataclass(frozen=True, slots=True)
class SampleQuality:
    """The distance between samples and real pictures.

    Attributes:
        kid, kid_error: Kernel inception distance and its standard error.
        fid: Fréchet inception distance.
        fid_error: Its standard error for other real pictures; None with more than `WIDEST` features.
        coverage: Which classes the samples show; None if the extractor cannot classify.
    """

    kid: float
    kid_error: float
    fid: float
    fid_error: float | None
    coverage: Coverage | None


class SampleJudge:
    """Compares samples with real pictures, whose features are computed once.

    Attributes:
        real_MD: Features of the real pictures, in random order.
    """

    def __init__(
        self,
        sampler: Callable[[Any, Arrays, torch.device], Sampler],
        options: Conditional,
        trial: Trial,
    ) -> None:
        """Compute the real pictures' features: those of the test split, or of the training split as the trial says.

        Args:
            sampler: (options, model, device) -> the model's sampler.
            options: The models' options.
            trial: Data and settings. Its seed determines the noise, the order of the real pictures, and the draws of
                the bootstrap.

        Raises:
            DataUnusable: The models are conditional, and the real pictures' classes are missing or unknown.
        """
        self._sampler = partial(sampler, options, device=trial.device)
        self._conditional = options.classes > 0
        self._extractor, self._trial = trial.extractor(), trial
        # At most the number of training pictures, so that the floor is comparable.
        self._samples = min(trial.samples, len(trial.train.pixels_NCHW))
        real = trial.test if trial.against == "test" else trial.train
        verify_conditions(options, real)
        self._real = _shuffled(real, derive_seed(trial.seed, "test"))
        self.real_MD = self._extractor.features(self._real.pixels_NCHW)

    @property
    def facts(self) -> dict[str, Any]:
        """The number of samples, what they are compared with, and the extractor with its accuracy."""
        return {
            "samples": self._samples,
            "against": self._trial.against,
            "extractor_digest": self._extractor.digest,
            "extractor_accuracy": self._extractor_accuracy(),
        }

    def _extractor_accuracy(self) -> float | None:
        """Share of the test pictures that the extractor classifies correctly; None if it cannot classify."""
        classify, test = self._extractor.classify, self._trial.test
        if classify is None or test.labels_N is None:
            return None
        return float((classify(self._extractor.features(test.pixels_NCHW)) == test.labels_N).mean())

    def floor(self) -> SampleQuality | None:
        """The quality of real training pictures in place of samples, which hardly any model can exceed.

        None if samples are compared with the training pictures themselves.
        """
        if self._trial.against == "train":
            return None
        drawn = _shuffled(self._trial.train, derive_seed(self._trial.seed, "floor"))
        return self.quality(self._extractor.features(drawn.pixels_NCHW[: self._samples]))

    def judge(self, model: Arrays) -> SampleQuality:
        """Draw samples from a model and measure them.

        Raises:
            Misuse: The model lacks the network that draws, or has another one.
        """
        return self.quality(self.features(model))

    def features(self, model: Arrays) -> Array:
        """Features_ND of a model's samples; errors as for `judge`.

        A conditional model is asked for the real pictures' classes, as often as they occur there, because it does not
        learn how often a class occurs.
        """
        sampler = self._sampler(model)
        pixels_NCHW = draw_samples(sampler, self._samples, self._trial.seed, self._labels())
        return self._extractor.features(pixels_NCHW)

    def _labels(self) -> NDArray[np.int64] | None:
        """Classes for the samples: those of the shuffled real pictures, from the first one again after the last one."""
        if not self._conditional:
            return None
        return np.resize(self._real.labels_N, self._samples)

    def quality(self, features_ND: Array) -> SampleQuality:
        """Measure samples by their features."""
        kernel = kid_with_error(features_ND, self.real_MD)
        distance, error = self._fid(features_ND)
        return SampleQuality(
            kid=kernel.value,
            kid_error=kernel.error,
            fid=distance,
            fid_error=error,
            coverage=self._coverage(features_ND),
        )

    def _fid(self, features_ND: Array) -> tuple[float, float | None]:
        if features_ND.shape[1] > WIDEST:
            return fid(features_ND, self.real_MD), None
        seed = derive_seed(self._trial.seed, "bootstrap")
        estimate = fid_with_error(features_ND, self.real_MD, seed)
        return estimate.value, estimate.error

    def _coverage(self, features_ND: Array) -> Coverage | None:
        classify = self._extractor.classify
        return classify and coverage(classify(features_ND), classify(self.real_MD))


def _shuffled(images: Images, seed: int) -> Images:
    return images.subset(np.random.default_rng(seed).permutation(len(images.pixels_NCHW)))
