"""The GAN's knobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from fl_node.arrays import Arrays
from fl_node.learning.classifier.options import ClassifierOptions
from fl_node.learning.extractor import extractor_options
from fl_node.learning.norms import Norm
from fl_node.learning.options import AsKnobs, Schedules, options_from

if TYPE_CHECKING:
    # For the types only: the manifest needs pydantic and the chain's types, training needs neither.
    from fl_node.manifest.manifest import Manifest

Network = Literal["dcgan", "residual"]
Objective = Literal["bce", "hinge", "relativistic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GanOptions(AsKnobs):
    """A GAN and how a member trains it. For ranges and meanings see `fl_node.manifest.learners`.

    Attributes:
        extractor: The classifier whose features compare held-out pictures and samples; channels and size are the GAN's.
        extractor_weights: All tensors of the extractor; None for random weights, which follow from the seed.
    """

    kind: ClassVar[str] = "gan"

    channels: int
    size: int
    held_out: float
    network: Network
    classes: int
    latent: int
    generator_width: int
    discriminator_width: int
    loss: Objective
    norm: Norm
    penalty: float
    batch: int
    generator_rate: float
    discriminator_rate: float
    beta1: float
    beta2: float
    ema_half_life: int
    ema_unit: Literal["steps", "rounds"]
    share: tuple[str, ...]
    extractor: ClassifierOptions
    extractor_weights: Arrays | None
    schedules: Schedules = ()

    @property
    def inputs(self) -> int:
        """Length of the generator's input: z, and beside it, if there are classes, a vector of the same length."""
        return self.latent * (2 if self.classes else 1)


def gan_options(manifest: Manifest, extractor_weights: Arrays | None) -> GanOptions:
    """The options of a manifest whose learner is a GAN."""
    return options_from(
        GanOptions,
        manifest.data,
        manifest.learner,
        share=manifest.strategy.share.average,
        extractor=extractor_options(manifest),
        extractor_weights=extractor_weights,
    )
