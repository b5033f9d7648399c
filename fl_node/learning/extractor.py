"""Extractors: classifiers whose features, the inputs of the last layer, serve to compare pictures.

Distances between pixels say little about pictures, so samples are compared by features. Those of a trained classifier
distinguish the classes of its data. A classifier with random weights can distinguish distributions too, though less
like people do, and needs no data: Naeem et al. 2020 (arXiv:2002.09797) propose it for pictures unlike ImageNet's.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fl_node.arrays import Array, Arrays
from fl_node.blobs.tensors import encode_tensors
from fl_node.learner import StepProgress, no_progress
from fl_node.learning.classifier import CLASSIFIER
from fl_node.learning.classifier.evaluation import features
from fl_node.learning.classifier.options import ClassifierOptions
from fl_node.learning.data import Images, verify_images
from fl_node.learning.features import FeatureExtractor, through
from fl_node.learning.options import options_from
from fl_node.learning.steps import to_device, to_pictures
from fl_node.learning.tensors import module_arrays, module_tensors
from fl_node.learning.workplace import Workplace
from fl_node.seeds import derive_seed

if TYPE_CHECKING:
    # For the types only: the manifest needs pydantic and the chain's types, training needs neither.
    from fl_node.manifest.manifest import Manifest

BATCH, RATE = 64, 0.001
"""Batch size and learning rate of the Adam optimiser that trains an extractor."""

EPOCHS, LEAST_STEPS = 10, 500
"""How long an extractor is trained: `EPOCHS` passes over its data, but at least `LEAST_STEPS` steps."""


def extractor_options(manifest: Manifest) -> ClassifierOptions:
    """The classifier with whose features a task's pictures are compared."""
    return options_from(
        ClassifierOptions,
        manifest.data,
        manifest.learner.extractor_shape,
        share=("*",),
        batch=BATCH,
        optimiser="adam",
        rate=RATE,
        momentum=0.0,
        weight_decay=0.0,
    )


def random_weights(options: ClassifierOptions, seed: int) -> dict[str, Array]:
    """The weights of an untrained classifier, the same on every machine.

    Args:
        options: The classifier.
        seed: Normally the manifest's.
    """
    root = derive_seed(seed, "extractor")
    tensors = module_tensors(CLASSIFIER.learner.build(options))
    return {
        name: CLASSIFIER.initial(name, tuple(like.shape), root) for name, like in tensors.items()
    }


def train_extractor(
    options: ClassifierOptions,
    images: Images,
    seed: int,
    device: torch.device,
    progress: StepProgress = no_progress,
) -> dict[str, Array]:
    """Train a classifier for its features. On one CPU thread, the same input gives the same bytes.

    Args:
        options: The classifier and its optimiser.
        images: A training split, with classes.
        seed: Determines the first weights and the batches.
        device: A prepared device (`fl_node.learning.device`).
        progress: Called with the steps.

    Raises:
        DataUnusable: The pictures have another shape, or their classes are missing or unknown.
        TrainingDiverged: The loss is no longer finite.
    """
    verify_images(images, options)
    CLASSIFIER.verify(options, images)
    place, examples = Workplace(CLASSIFIER.learner, options, device), to_device(images, device)
    place.resume(options, random_weights(options, seed), private=None)
    steps = max(LEAST_STEPS, EPOCHS * len(examples) // options.batch)
    place.runner.run(options, examples, steps, seed, progress=progress)
    return module_arrays(place.training.model)


def open_extractor(
    options: ClassifierOptions, arrays: Arrays, device: torch.device, classifies: bool
) -> FeatureExtractor:
    """Make an extractor from a classifier's weights.

    Args:
        options: The classifier.
        arrays: All of its tensors.
        device: The device on which it runs.
        classifies: Whether its classes are those of the pictures that it will get.

    Raises:
        Misuse: The arrays are not this classifier's; raised for the first pictures.
    """

    def extract(x_NCHW: Tensor) -> Tensor:
        return features(options, arrays, to_pictures(x_NCHW))

    def classify(features_ND: Array) -> Array:
        logits_NK = features_ND @ arrays["head.weight"].T + arrays["head.bias"]
        return np.argmax(logits_NK, axis=1)

    return FeatureExtractor(
        digest=weights_digest(arrays),
        features=lambda pixels_NCHW: through(extract, pixels_NCHW, device),
        classify=classify if classifies else None,
    )


def weights_digest(arrays: Arrays) -> str:
    """The digest of weights in a store, in hex."""
    return hashlib.sha256(encode_tensors(arrays)).hexdigest()
