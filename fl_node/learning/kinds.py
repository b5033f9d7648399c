"""The kinds of model that can be trained. Another one is a folder like `gan/` and `classifier/`, and a line here."""

from __future__ import annotations

from collections.abc import Mapping

from fl_node.learning.classifier import CLASSIFIER
from fl_node.learning.gan import GAN
from fl_node.learning.kind import Kind
from fl_node.learning.options import ClassifierOptions, GanOptions, Options

KINDS: Mapping[type[Options], Kind] = {GanOptions: GAN, ClassifierOptions: CLASSIFIER}


def kind_of(options: Options) -> Kind:
    """The kind of model that options describe."""
    return KINDS[type(options)]
