"""Options of training as a manifest gives them, with some of them changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from doubles import small_manifest

from fl_node.learning import Options, learning_options


def options_of(kind: str, **changes: Any) -> Any:
    """The options of a manifest that says nothing but the learner's kind; `changes` replace some."""
    options: Options = learning_options(small_manifest(learner=kind))
    return replace(options, **changes)


def gan_options(**changes: Any) -> Any:
    """A GAN's."""
    return options_of("gan", **changes)


def classifier_options(**changes: Any) -> Any:
    """A classifier's."""
    return options_of("classifier", **changes)


def flow_options(**changes: Any) -> Any:
    """A flow's."""
    return options_of("flow", **changes)
