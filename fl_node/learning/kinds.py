"""The kinds of model that can be trained. To add one, write a folder like `gan/` and add a line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fl_node.arrays import Arrays
from fl_node.learning.classifier import CLASSIFIER
from fl_node.learning.flow import FLOW
from fl_node.learning.gan import GAN
from fl_node.learning.kind import Kind
from fl_node.learning.options import Options, PictureOptions

if TYPE_CHECKING:
    # For the types only: the manifest needs pydantic and the chain's types, training needs neither.
    from fl_node.manifest.manifest import Manifest

KINDS: Mapping[str, Kind] = {"gan": GAN, "classifier": CLASSIFIER, "flow": FLOW}
"""The kinds, by the learner's name in a manifest."""


def kind_of(options: Options) -> Kind:
    """The kind of model that options describe."""
    return KINDS[options.kind]


def learning_options(manifest: Manifest, extractor_weights: Arrays | None = None) -> PictureOptions:
    """The options for training in a manifest.

    Args:
        manifest: The task.
        extractor_weights: The tensors of the learner's extractor, if the manifest names its digest.
    """
    return KINDS[manifest.learner.kind].options(manifest, extractor_weights)
