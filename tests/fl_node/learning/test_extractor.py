"""Extractors: random and trained weights, and what they see in pictures."""

from __future__ import annotations

import hashlib
import sys

import numpy as np
import pytest
import torch
from knobs import classifier_options

from fl_node.blobs.model import decode_model, encode_model
from fl_node.errors import DataUnusable, Misuse
from fl_node.learning import Images, load_images, load_test_images
from fl_node.learning import extractor as extractor_module
from fl_node.learning.classifier.evaluation import features
from fl_node.learning.device import prepare
from fl_node.learning.extractor import BATCH, open_extractor, random_weights, train_extractor
from fl_node.learning.inception import inception_extractor
from fl_node.learning.steps import to_pictures

CPU = torch.device("cpu")
SMALL = classifier_options(width=4)
LEARNING = classifier_options(width=4, optimiser="adam", rate=0.003)


@pytest.fixture(autouse=True)
def one_thread():
    prepare(CPU, threads=1)


def noise(count: int, classes: int = 2) -> Images:
    random = np.random.default_rng(count)
    pixels = random.integers(0, 256, (count, 1, 32, 32), np.uint8)
    return Images(pixels, np.arange(count) % classes)


def digest(arrays) -> str:
    return hashlib.sha256(encode_model(arrays)).hexdigest()


def test_random_weights_follow_from_the_seed_alone():
    assert digest(random_weights(SMALL, 7)) == digest(random_weights(SMALL, 7))
    assert digest(random_weights(SMALL, 7)) != digest(random_weights(SMALL, 8))
    # The beginning of a golden digest: the held-out losses on chain rest on these weights.
    assert digest(random_weights(SMALL, 7))[:16] == "174384a9adcc17db"


def test_features_are_those_of_the_classifier_however_many_pictures():
    weights, pixels = random_weights(SMALL, 1), noise(BATCH + 5).pixels_NCHW
    extractor = open_extractor(SMALL, weights, CPU, classifies=False)
    expected = features(SMALL, weights, to_pictures(torch.from_numpy(pixels)))
    np.testing.assert_allclose(extractor.features(pixels), expected, rtol=1e-4, atol=1e-5)
    assert extractor.features(pixels).dtype == np.float32


def test_its_name_is_that_of_its_blob():
    weights = random_weights(SMALL, 1)
    extractor = open_extractor(SMALL, weights, CPU, classifies=False)
    assert extractor.digest == digest(weights)
    again = open_extractor(SMALL, decode_model(encode_model(weights)), CPU, classifies=False)
    assert again.digest == extractor.digest
    assert extractor.classify is None, "random classes mean nothing"


def test_training_gives_the_same_bytes_again_and_others_for_another_seed(monkeypatch):
    monkeypatch.setattr(extractor_module, "LEAST_STEPS", 3)
    monkeypatch.setattr(extractor_module, "EPOCHS", 0)
    first, again, other = (
        digest(train_extractor(SMALL, noise(8), seed, CPU)) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_trained_on_the_digits_it_tells_test_digits_apart(monkeypatch):
    monkeypatch.setattr(extractor_module, "LEAST_STEPS", 150)
    monkeypatch.setattr(extractor_module, "EPOCHS", 0)
    train, test = load_images("digits", SMALL), load_test_images("digits", SMALL)
    weights = train_extractor(LEARNING, train, 1, CPU)
    extractor = open_extractor(LEARNING, weights, CPU, classifies=True)
    assert extractor.classify is not None
    right = extractor.classify(extractor.features(test.pixels_NCHW)) == test.labels_N
    assert right.mean() > 0.8


def test_pictures_without_classes_are_refused():
    with pytest.raises(DataUnusable, match="no classes"):
        train_extractor(SMALL, Images(noise(8).pixels_NCHW, None), 1, CPU)


def test_a_class_beyond_the_classifiers_is_refused():
    with pytest.raises(DataUnusable, match="expected 0 to 9, got 0 to 11"):
        train_extractor(SMALL, noise(24, classes=12), 1, CPU)


def test_without_its_package_inception_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(Misuse, match=r"install ganchor\[inception\]"):
        inception_extractor(CPU)
