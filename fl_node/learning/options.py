"""The knobs of training a GAN, as plain values: the training code needs no manifest to be run or timed by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    # For the types only: the manifest needs pydantic and the chain's types, training needs neither.
    from fl_node.manifest import Manifest

Loss = Literal["bce", "hinge", "relativistic"]
Norm = Literal["batch", "group", "none"]


@dataclass(frozen=True, slots=True)
class GanOptions:
    """One GAN and how a member trains it. Ranges and meanings: `fl_node.manifest`, sections data, learner, strategy."""

    channels: int = 1
    size: int = 32
    held_out: float = 0.1
    latent: int = 100
    generator_width: int = 64
    discriminator_width: int = 64
    loss: Loss = "relativistic"
    norm: Norm = "group"
    penalty: float = 1.0
    batch: int = 32
    generator_rate: float = 2e-4
    discriminator_rate: float = 2e-4
    beta1: float = 0.5
    beta2: float = 0.999
    ema_half_life: int = 200
    share: tuple[str, ...] = ("*",)


def learning_options(manifest: Manifest) -> GanOptions:
    """Take what training needs out of a manifest."""
    data, learner, strategy = manifest.data, manifest.learner, manifest.strategy
    return GanOptions(
        channels=data.channels,
        size=data.size,
        held_out=float(data.held_out),
        latent=learner.latent,
        generator_width=learner.generator_width,
        discriminator_width=learner.discriminator_width,
        loss=learner.loss,
        norm=learner.norm,
        penalty=float(learner.penalty),
        batch=learner.batch,
        generator_rate=float(learner.generator_rate),
        discriminator_rate=float(learner.discriminator_rate),
        beta1=float(learner.beta1),
        beta2=float(learner.beta2),
        ema_half_life=learner.ema_half_life,
        share=strategy.share,
    )
