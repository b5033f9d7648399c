"""The manifest's extractor: the network that turns pictures into the features for a GAN's held-out loss."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fl_node.fields import Section


class Extractor(Section):
    """A classifier without its last layer, from the task's store or with random weights.

    Random weights can distinguish distributions too, and need no training data (Naeem et al. 2020, arXiv:2002.09797).
    Trained weights are closer to human judgement.
    """

    digest: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    """sha256 of a classifier in the task's store; empty for random weights, derived from the manifest's seed."""
    network: Literal["cnn", "resnet18"] = "cnn"
    """As for the classifier learner."""
    width: Annotated[int, Field(ge=4, le=512)] = 16
    """Channels of the first layer."""
    classes: Annotated[int, Field(ge=2, le=10_000)] = 10
    """Outputs of the last layer, which exists but is not used."""
