"""The knobs of training, as plain values: the training code needs no manifest to be run or timed by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from fl_node.arrays import Arrays

if TYPE_CHECKING:
    # For the types only: the manifest needs pydantic and the chain's types, training needs neither.
    from fl_node.manifest.manifest import Manifest

Loss = Literal["bce", "hinge", "relativistic"]
Norm = Literal["batch", "group", "none"]
Network = Literal["cnn", "resnet18"]


@dataclass(frozen=True, slots=True)
class ClassifierOptions:
    """One classifier and how a member trains it. Ranges and meanings: `fl_node.manifest.manifest` and its sections."""

    channels: int = 1
    size: int = 32
    held_out: float = 0.1
    network: Network = "cnn"
    width: int = 16
    classes: int = 10
    batch: int = 32
    optimiser: Literal["sgd", "adam"] = "sgd"
    rate: float = 0.05
    momentum: float = 0.0
    weight_decay: float = 0.0
    share: tuple[str, ...] = ("*",)


@dataclass(frozen=True, slots=True)
class GanOptions:
    """One GAN and how a member trains it. Ranges and meanings: as for `ClassifierOptions`."""

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
    extractor: ClassifierOptions = ClassifierOptions()
    """What held-out pictures and samples are compared by; its channels and size are the GAN's."""
    extractor_weights: Arrays | None = None
    """All of its tensors; None: random ones, which the seed gives."""


Options = GanOptions | ClassifierOptions


def learning_options(manifest: Manifest, extractor_weights: Arrays | None = None) -> Options:
    """Take what training needs out of a manifest.

    Args:
        manifest: The task.
        extractor_weights: The tensors of a GAN's `learner.extractor`, where the manifest names a digest.
    """
    data, learner = manifest.data, manifest.learner
    common: dict[str, Any] = {
        "channels": data.channels,
        "size": data.size,
        "held_out": float(data.held_out),
        "batch": learner.batch,
        "share": manifest.strategy.share,
    }
    if learner.kind == "classifier":
        return ClassifierOptions(
            **common,
            network=learner.network,
            width=learner.width,
            classes=learner.classes,
            optimiser=learner.optimiser,
            rate=float(learner.rate),
            momentum=float(learner.momentum),
            weight_decay=float(learner.weight_decay),
        )
    return GanOptions(
        **common,
        latent=learner.latent,
        generator_width=learner.generator_width,
        discriminator_width=learner.discriminator_width,
        loss=learner.loss,
        norm=learner.norm,
        penalty=float(learner.penalty),
        generator_rate=float(learner.generator_rate),
        discriminator_rate=float(learner.discriminator_rate),
        beta1=float(learner.beta1),
        beta2=float(learner.beta2),
        ema_half_life=learner.ema_half_life,
        extractor=extractor_options(manifest),
        extractor_weights=extractor_weights,
    )


def extractor_options(manifest: Manifest) -> ClassifierOptions:
    """The classifier whose features a GAN's pictures are compared by."""
    data, extractor = manifest.data, manifest.learner.extractor
    return ClassifierOptions(
        channels=data.channels,
        size=data.size,
        network=extractor.network,
        width=extractor.width,
        classes=extractor.classes,
    )
