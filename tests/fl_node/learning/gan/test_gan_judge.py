"""The judge of a conditional GAN: which classes it asks for, and which test pictures it can use."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from knobs import classifier_options, gan_options

from fl_node.errors import DataUnusable
from fl_node.learning import Images, Trial, genesis, open_extractor, random_weights
from fl_node.learning.gan import GAN

CPU = torch.device("cpu")
OPTIONS = gan_options(latent=8, generator_width=4, discriminator_width=4, classes=3)
SAMPLES = 30


def images(*labels: int) -> Images:
    pixels_NCHW = np.random.default_rng(0).integers(0, 256, (len(labels), 1, 32, 32), np.uint8)
    return Images(pixels_NCHW, np.array(labels, np.int64))


def trial(test: Images) -> Trial:
    extractor = classifier_options(width=4)
    weights = random_weights(extractor, 1)
    opened = open_extractor(extractor, weights, CPU, classifies=False)
    return Trial(images(*[0] * SAMPLES), test, lambda: opened, SAMPLES, 0, CPU)


def test_it_asks_for_the_test_pictures_classes():
    """So that classes which no test picture has can look like anything."""
    model, judge = genesis(OPTIONS, 1), GAN.judge(OPTIONS, trial(images(*[1] * 20)))
    vectors_KZ = model["generator_ema.embedding.weight"]
    changed = np.stack([-vectors_KZ[0], vectors_KZ[1], -vectors_KZ[2]])
    same = judge.judge({**model, "generator_ema.embedding.weight": changed})
    assert same == judge.judge(model)


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        (Images(images(*[0] * 20).pixels_NCHW, None), "the pictures have no classes"),
        (images(*[3] * 20), "expected 0 to 2, got 3 to 3"),
    ],
)
def test_test_pictures_without_known_classes_are_refused(test, reason):
    with pytest.raises(DataUnusable, match=reason):
        GAN.judge(OPTIONS, trial(test))
