"""The quality of a GAN: its samples, compared with test pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fl_node.arrays import Array, Arrays
from fl_node.learning.data import Images
from fl_node.learning.features import Pixels
from fl_node.learning.gan.options import GanOptions
from fl_node.learning.gan.samples import draw_samples
from fl_node.learning.judging import Trial
from fl_node.measures import Coverage, coverage, fid, kid_with_error
from fl_node.seeds import derive_seed


@dataclass(frozen=True, slots=True)
class SampleQuality:
    """The distance between samples and test pictures.

    Attributes:
        kid, kid_error: Kernel inception distance and its standard error.
        fid: Fréchet inception distance.
        coverage: Which classes the samples show; None if the extractor cannot classify.
    """

    kid: float
    kid_error: float
    fid: float
    coverage: Coverage | None


class GanJudge:
    """Compares a GAN's samples with test pictures, whose features are computed once."""

    def __init__(self, options: GanOptions, trial: Trial) -> None:
        """Compute the test pictures' features.

        In the `floor`, the trial's training pictures stand for a perfect generator. Its seed determines z, the order of
        the test pictures, and which training pictures are used.
        """
        self._options, self._extractor, self._device = options, trial.extractor(), trial.device
        self._seed, self._train = trial.seed, trial.train
        # At most the number of training pictures, so that the floor is comparable.
        self._samples = min(trial.samples, len(trial.train.pixels_NCHW))
        self._test = _shuffled(trial.test, derive_seed(trial.seed, "test"))
        self._test_ND = self._extractor.features(self._test.pixels_NCHW)

    @property
    def facts(self) -> dict[str, Any]:
        """The number of samples, and the extractor with its accuracy."""
        return {
            "samples": self._samples,
            "extractor_digest": self._extractor.digest,
            "extractor_accuracy": self._extractor_accuracy(),
        }

    def _extractor_accuracy(self) -> float | None:
        """Share of the test pictures that the extractor classifies correctly; None if it cannot classify."""
        classify, labels_N = self._extractor.classify, self._test.labels_N
        if classify is None or labels_N is None:
            return None
        return float((classify(self._test_ND) == labels_N).mean())

    def floor(self) -> SampleQuality:
        """The quality of real training pictures in place of samples, which hardly any generator can exceed."""
        drawn = _shuffled(self._train, derive_seed(self._seed, "floor"))
        return self._quality(drawn.pixels_NCHW[: self._samples])

    def judge(self, model: Arrays) -> SampleQuality:
        """Draw samples from a model and measure them.

        Raises:
            Misuse: The model has no generator, or not the one that the options describe.
        """
        return self._quality(
            draw_samples(self._options, model, self._samples, self._seed, self._device)
        )

    def _quality(self, pixels_NCHW: Pixels) -> SampleQuality:
        features_ND = self._extractor.features(pixels_NCHW)
        estimate = kid_with_error(features_ND, self._test_ND)
        return SampleQuality(
            kid=estimate.value,
            kid_error=estimate.error,
            fid=fid(features_ND, self._test_ND),
            coverage=self._coverage(features_ND),
        )

    def _coverage(self, features_ND: Array) -> Coverage | None:
        classify = self._extractor.classify
        return classify and coverage(classify(features_ND), classify(self._test_ND))


def _shuffled(images: Images, seed: int) -> Images:
    return images.subset(np.random.default_rng(seed).permutation(len(images.pixels_NCHW)))
