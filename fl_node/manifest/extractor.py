"""The manifest's extractor: what turns pictures into the features that a GAN's held-out loss is measured on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fl_node.fields import Section


class Extractor(Section):
    """A classifier without its last layer, out of the task's store or with random weights.

    Random weights tell distributions apart, too, and need no data to be trained on (Naeem et al. 2020,
    arXiv:2002.09797); trained ones come closer to what people see.
    """

    digest: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    """sha256 of a classifier in the task's store; empty: the weights that the manifest's seed gives."""
    network: Literal["cnn", "resnet18"] = "cnn"
    """As for the classifier learner."""
    width: Annotated[int, Field(ge=4, le=512)] = 16
    """Channels of the first layer."""
    classes: Annotated[int, Field(ge=2, le=10_000)] = 10
    """Of the last layer, which is there and not used."""
