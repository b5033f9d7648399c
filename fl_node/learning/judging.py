"""How good a finished model is, on test pictures: what `ganchor evaluate` reports."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from fl_node.arrays import Array, Arrays
from fl_node.learning.classifier.evaluation import accuracy
from fl_node.learning.data import Images
from fl_node.learning.extractor import Extractor, Pixels
from fl_node.learning.gan.samples import draw_samples
from fl_node.learning.options import ClassifierOptions, GanOptions
from fl_node.measures import Coverage, coverage, fid, kid_with_error
from fl_node.seeds import derive_seed


@dataclass(frozen=True, slots=True)
class SampleQuality:
    """How far samples are from test pictures.

    Attributes:
        kid, kid_error: Kernel inception distance and its standard error.
        fid: Fréchet inception distance.
        coverage: Which classes they show; None where the extractor knows none.
    """

    kid: float
    kid_error: float
    fid: float
    coverage: Coverage | None


@dataclass(frozen=True, slots=True)
class ClassifierQuality:
    """Share of test pictures that are classified rightly, and the mean cross-entropy on them."""

    accuracy: float
    loss: float


class GanJudge:
    """Holds a GAN's samples against test pictures, whose features are computed once."""

    def __init__(
        self,
        options: GanOptions,
        extractor: Extractor,
        train: Images,
        test: Images,
        samples: int,
        seed: int,
        device: torch.device,
    ) -> None:
        """Prepare.

        Args:
            options: The GAN.
            extractor: What pictures are compared by.
            train: Real pictures that stand for a perfect generator in the `floor`.
            test: Other real pictures.
            samples: At most so many; as many as there are training pictures, so that the floor compares.
            seed: Gives z, the order of the test pictures, and which training pictures count.
            device: Where the generator runs.
        """
        self._options, self._extractor, self._device = options, extractor, device
        self._seed, self._train = seed, train
        self.samples = min(samples, len(train.pixels_NCHW))
        self._test = _shuffled(test, derive_seed(seed, "test"))
        self._test_ND = extractor.features(self._test.pixels_NCHW)

    @property
    def extractor_accuracy(self) -> float | None:
        """Share of the test pictures that the extractor classifies rightly; None where it knows no classes."""
        classify, labels_N = self._extractor.classify, self._test.labels_N
        if classify is None or labels_N is None:
            return None
        return float((classify(self._test_ND) == labels_N).mean())

    def floor(self) -> SampleQuality:
        """What real training pictures get in the place of samples: hardly any generator can do better."""
        drawn = _shuffled(self._train, derive_seed(self._seed, "floor"))
        return self._quality(drawn.pixels_NCHW[: self.samples])

    def judge(self, model: Arrays) -> SampleQuality:
        """Draw samples from a model and measure them.

        Raises:
            Misuse: The model holds no generator, or another one than the options describe.
        """
        return self._quality(
            draw_samples(self._options, model, self.samples, self._seed, self._device)
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


class ClassifierJudge:
    """Has a classifier look at test pictures."""

    def __init__(self, options: ClassifierOptions, test: Images, device: str | None) -> None:
        self._options, self._test, self._device = options, test, device

    def floor(self) -> None:
        """Nothing: a classifier's numbers say by themselves how good they are."""

    def judge(self, model: Arrays) -> ClassifierQuality:
        """Measure a model.

        Raises:
            Misuse: The tensors are not this model's; the last layer is missing, where members keep theirs.
            DataUnusable: Classes of the test pictures are missing or unknown.
        """
        return ClassifierQuality(*accuracy(self._options, model, self._test, self._device))


def _shuffled(images: Images, seed: int) -> Images:
    return images.subset(np.random.default_rng(seed).permutation(len(images.pixels_NCHW)))
