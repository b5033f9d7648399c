"""The learners that a manifest can choose, and their knobs. `fl_node.learning` carries them out."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fl_node.fields import Choice, Loss, Number
from fl_node.manifest.extractor import Extractor

Batch = Annotated[int, Field(ge=2, le=4096)]
Rate = Annotated[Number, Field(gt=0, le=1)]
Kept = Annotated[Number, Field(ge=0, lt=1)]
"""What a moving average keeps in one step."""


class LearnerChoice(Choice):
    """A learner as a manifest chooses it, and what the strategy has to know of it. Without torch."""

    body: ClassVar[tuple[str, ...]]
    """Patterns over the names of the tensors that FedPer shares; the others stay with their member."""
    falling_loss: ClassVar[Loss]
    """The recorded loss that falls as the learner gets better."""
    short_try: ClassVar[Mapping[str, object]] = {}
    """Knobs for a first look: they show something after some hundred steps, where the defaults take thousands."""

    @property
    def compared_by(self) -> Extractor | None:
        """What its held-out loss compares pictures by; None where it compares none."""
        return None


class GanLearner(LearnerChoice):
    """A DCGAN: its two networks, its objective and its optimisers (Radford et al. 2015, arXiv:1511.06434)."""

    kind: Literal["gan"] = "gan"
    body: ClassVar[tuple[str, ...]] = ("generator*",)
    # The two losses of a GAN balance each other, whether it learns or not.
    falling_loss: ClassVar[Loss] = "held_out"
    short_try: ClassVar[Mapping[str, object]] = {
        "generator_width": 32,
        "discriminator_width": 32,
        "generator_rate": Decimal("0.002"),
        "discriminator_rate": Decimal("0.002"),
        "ema_half_life": 30,
    }
    latent: Annotated[int, Field(ge=1, le=1024)] = 100
    """Length of z."""
    generator_width: Annotated[int, Field(ge=4, le=512)] = 64
    """Channels of the generator's last hidden layer; each layer before it has twice as many."""
    discriminator_width: Annotated[int, Field(ge=4, le=512)] = 64
    """Channels of the discriminator's first layer; each layer after it has twice as many."""
    loss: Literal["bce", "hinge", "relativistic"] = "relativistic"
    norm: Literal["batch", "group", "none"] = "group"
    """Group norm suits averaging: batch norm's statistics differ between members whose data differ."""
    penalty: Annotated[Number, Field(ge=0, le=1000)] = Decimal(1)
    """Gamma of the gradient penalties R1 and R2, each added as gamma/2 times the squared slope; 0 adds none."""
    batch: Batch = 32
    """Pictures per step."""
    generator_rate: Rate = Decimal("0.0002")
    discriminator_rate: Rate = Decimal("0.0002")
    """Learning rates of the two Adams."""
    beta1: Kept = Decimal("0.5")
    beta2: Kept = Decimal("0.999")
    """What Adam's first and second moment keep in one step."""
    ema_half_life: Annotated[int, Field(ge=0, le=1_000_000)] = 200
    """Steps after which a generator weight counts half in its exponential average; 0 keeps none."""
    extractor: Extractor = Extractor()
    """Gives the features on which the held-out loss, a KID, is measured."""

    @property
    def compared_by(self) -> Extractor:
        """The extractor."""
        return self.extractor


class ClassifierLearner(LearnerChoice):
    """A classifier of pictures, trained with cross-entropy. Its tensors are `base.*` and, the last layer, `head.*`."""

    kind: Literal["classifier"] = "classifier"
    body: ClassVar[tuple[str, ...]] = ("base.*",)
    falling_loss: ClassVar[Loss] = "training"
    network: Literal["cnn", "resnet18"] = "cnn"
    """A small one of four convolutions, or ResNet-18 with group norm (He et al. 2015, arXiv:1512.03385)."""
    width: Annotated[int, Field(ge=4, le=512)] = 16
    """Channels of the first layer."""
    classes: Annotated[int, Field(ge=2, le=10_000)] = 10
    batch: Batch = 32
    """Pictures per step."""
    optimiser: Literal["sgd", "adam"] = "sgd"
    rate: Rate = Decimal("0.05")
    momentum: Kept = Decimal(0)
    """Of SGD; Adam has its usual 0.9 and 0.999."""
    weight_decay: Annotated[Number, Field(ge=0, le=1)] = Decimal(0)


LEARNERS: tuple[type[LearnerChoice], ...] = (GanLearner, ClassifierLearner)
"""The choices for `learner` in a manifest; the first is the default."""
