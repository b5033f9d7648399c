"""The accuracy of a classifier: on all test pictures, and for each member on its own mix of classes."""

from __future__ import annotations

from statistics import mean

import numpy as np
from harness import Checkpoint

from chain.types import Address
from fl_node.arrays import Array, Arrays
from fl_node.learning import learning_options
from fl_node.learning.classifier.evaluation import accuracy
from fl_node.learning.data import Images

PERSONAL = ("ditto",)
"""Training algorithms that give each member a complete personal model."""


def classified(at: Checkpoint) -> dict[str, float]:
    """The classifier's figures.

    Returns:
        `accuracy` of the global model on the test split, if the whole model is shared. `own`: the mean over the members
        of the accuracy of each member's own model, which is the global one if it has no other, on test pictures with
        classes in that member's proportions. Both are from 0 to 1.
    """
    strategy = at.manifest.strategy
    is_whole, is_personal = strategy.share.average == ("*",), strategy.train.kind in PERSONAL
    figures: dict[str, float] = {}
    by_class = _by_class(at, at.model) if is_whole else None
    if by_class is not None:
        figures["accuracy"] = float(_mix(at, at.test) @ by_class)
    if by_class is None or is_personal:
        models = {member: own_model(at, member) for member in at.parts}
        accuracies = [
            _mix(at, part) @ _by_class(at, models[member]) for member, part in at.parts.items()
        ]
    else:
        accuracies = [_mix(at, part) @ by_class for part in at.parts.values()]
    return {**figures, "own": float(mean(accuracies))}


def own_model(at: Checkpoint, member: Address) -> Arrays:
    """The complete model that a member would use.

    With Ditto, this is its personal model. If some tensors are private, it is the global model with these tensors.
    """
    trained = at.trained[member]
    if at.manifest.strategy.train.kind in PERSONAL:
        return trained.shared
    private = {
        name: array
        for name, array in trained.private.items()
        if name.startswith(("base.", "head."))
    }
    return {**private, **at.model}


def _by_class(at: Checkpoint, model: Arrays) -> Array:
    """The accuracy on the test pictures of each class."""
    options, test = learning_options(at.manifest), at.test
    return np.array(
        [
            accuracy(
                options, model, test.subset(np.flatnonzero(test.labels_N == label)), at.device
            )[0]
            for label in range(options.classes)
        ]
    )


def _mix(at: Checkpoint, images: Images) -> Array:
    """The share of each class among some pictures."""
    options = learning_options(at.manifest)
    counts = np.bincount(images.labels_N, minlength=options.classes)
    return counts / counts.sum()
