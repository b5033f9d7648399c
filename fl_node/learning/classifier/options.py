"""The classifier's knobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from fl_node.arrays import Arrays
from fl_node.learning.options import AsKnobs, Schedules, options_from

if TYPE_CHECKING:
    # For the types only: the manifest needs pydantic and the chain's types, training needs neither.
    from fl_node.manifest.manifest import Manifest

Network = Literal["cnn", "resnet18"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierOptions(AsKnobs):
    """A classifier and how a member trains it. For ranges and meanings see `fl_node.manifest.learners`."""

    kind: ClassVar[str] = "classifier"

    channels: int
    size: int
    held_out: float
    network: Network
    width: int
    classes: int
    batch: int
    optimiser: Literal["sgd", "adam"]
    rate: float
    momentum: float
    weight_decay: float
    share: tuple[str, ...]
    schedules: Schedules = ()


def classifier_options(manifest: Manifest, extractor_weights: Arrays | None) -> ClassifierOptions:
    """The options of a manifest whose learner is a classifier. It compares no pictures and needs no extractor."""
    share = manifest.strategy.share.average
    return options_from(ClassifierOptions, manifest.data, manifest.learner, share=share)
