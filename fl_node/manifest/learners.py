"""The learners that a manifest can choose, and their knobs. `fl_node.learning` implements them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from fl_node.fields import Loss, Number, OptimiserState
from fl_node.manifest.code_learners import FlowerLearner, ModuleLearner
from fl_node.manifest.extractor import Extractor
from fl_node.manifest.learner_choice import LearnerChoice
from fl_node.manifest.schedules import OverRounds, Schedule
from fl_node.strategy.roles import Average, Roles, Unit

Batch = Annotated[int, Field(ge=2, le=4096)]
Rate = Annotated[Decimal | Schedule, OverRounds(Annotated[Number, Field(gt=0, le=1)])]
Kept = Annotated[Number, Field(ge=0, lt=1, decimal_places=9)]
"""The decay of a moving average: the share that it keeps in one step. As a float it is still below 1."""
HalfLife = Annotated[int, Field(ge=0, le=1_000_000)]
Penalty = Annotated[Decimal | Schedule, OverRounds(Annotated[Number, Field(ge=0, le=1000)])]


class PictureLearner(LearnerChoice):
    """A learner that comes with this package and learns from pictures."""

    metrics: ClassVar[tuple[str, ...]] = ()
    required: ClassVar[tuple[str, ...]] = ()
    needs_classes: ClassVar[bool] = False
    """Whether every picture needs a class, whatever the knobs."""
    short_try: ClassVar[Mapping[str, object]] = {}
    """Knobs for a short trial, which give results after some hundred steps; the defaults need thousands."""


class GanLearner(PictureLearner):
    """A GAN: its two networks, its objective and its optimisers (by default a DCGAN, arXiv:1511.06434)."""

    kind: Literal["gan"] = "gan"
    body: ClassVar[tuple[str, ...]] = ("generator*",)
    opponent: ClassVar[str | None] = "discriminator"
    # A GAN's two losses balance each other whether it learns or not, so the training loss shows no progress.
    falling_loss: ClassVar[Loss] = "held_out"
    short_try: ClassVar[Mapping[str, object]] = {
        "generator_width": 32,
        "discriminator_width": 32,
        "generator_rate": Decimal("0.002"),
        "discriminator_rate": Decimal("0.002"),
        "ema_half_life": 30,
    }
    network: Literal["dcgan", "residual"] = "dcgan"
    """A DCGAN, or residual blocks without norms, for which `norm` must be "none" (after arXiv:2501.05441)."""
    classes: Annotated[int, Field(ge=0, le=10_000)] = 0
    """0, or the number of classes on which both networks are conditioned; every picture then needs one."""
    latent: Annotated[int, Field(ge=1, le=1024)] = 100
    """Length of z."""
    generator_width: Annotated[int, Field(ge=4, le=512)] = 64
    """Channels of the generator's last hidden layer; each layer before it has twice as many."""
    discriminator_width: Annotated[int, Field(ge=4, le=512)] = 64
    """Channels of the discriminator's first layer; each layer after it has twice as many."""
    loss: Literal["bce", "hinge", "relativistic"] = "relativistic"
    norm: Literal["batch", "group", "none"] = "group"
    """Group norm suits averaging: the statistics of batch norm differ between members with non-IID data."""
    penalty: Penalty = Decimal(1)
    """Gamma of the gradient penalties R1 and R2, each gamma/2 times the squared gradient norm; 0 adds none."""
    batch: Batch = 32
    """Pictures per step."""
    generator_rate: Rate = Decimal("0.0002")
    discriminator_rate: Rate = Decimal("0.0002")
    """Learning rates of the two Adam optimisers."""
    beta1: Kept = Decimal(0)
    beta2: Annotated[Decimal | Schedule, OverRounds(Kept)] = Decimal("0.999")
    """Adam's decay rates of the first and second moment."""
    ema_half_life: HalfLife = 200
    """Half-life of the exponential moving average of the generator; 0 keeps no average."""
    ema_unit: Unit = "steps"
    """What `ema_half_life` counts: optimiser steps, or rounds of the federation."""
    extractor: Extractor = Extractor()
    """Gives the features for the held-out loss, which is a KID."""

    @model_validator(mode="after")
    def _norm_fits(self) -> Self:
        if self.network == "residual" and self.norm != "none":
            raise ValueError(
                f'network "residual" has no norms: norm must be "none", not "{self.norm}"'
            )
        return self

    @property
    def compared_by(self) -> Extractor:
        """The extractor."""
        return self.extractor

    @property
    def tensor_roles(self) -> Roles:
        """Batch norm's statistics, and the average of the generator."""
        batch_norm = self.norm == "batch"
        return Roles(
            statistics=("*.running_mean", "*.running_var") if batch_norm else (),
            at_least_zero=("*.running_var",) if batch_norm else (),
            averages=_averages("generator", self.ema_half_life, self.ema_unit),
        )


class ClassifierLearner(PictureLearner):
    """A picture classifier, trained with cross-entropy. Its tensors are `base.*` and, for the last layer, `head.*`."""

    kind: Literal["classifier"] = "classifier"
    body: ClassVar[tuple[str, ...]] = ("base.*",)
    falling_loss: ClassVar[Loss] = "training"
    needs_classes: ClassVar[bool] = True
    network: Literal["cnn", "resnet18"] = "cnn"
    """A small network with four convolutions, or ResNet-18 with group norm (He et al. 2015, arXiv:1512.03385)."""
    width: Annotated[int, Field(ge=4, le=512)] = 16
    """Channels of the first layer."""
    classes: Annotated[int, Field(ge=2, le=10_000)] = 10
    batch: Batch = 32
    """Pictures per step."""
    optimiser: Literal["sgd", "adam"] = "sgd"
    rate: Rate = Decimal("0.05")
    momentum: Kept = Decimal(0)
    """SGD's momentum; Adam uses its usual 0.9 and 0.999."""
    weight_decay: Annotated[Number, Field(ge=0, le=1)] = Decimal(0)
    optimiser_state: OptimiserState = "fresh"
    """As in FedAvg's experiments, where clients keep nothing from round to round."""

    @property
    def sgd_momentum(self) -> Decimal:
        """The knob, if the optimiser is SGD."""
        return self.momentum if self.optimiser == "sgd" else Decimal(0)


class FlowLearner(PictureLearner):
    """Flow matching: one network, which learns how noise moves to pictures (Lipman et al. 2022, arXiv:2210.02747)."""

    kind: Literal["flow"] = "flow"
    body: ClassVar[tuple[str, ...]] = ("flow*.body.*",)
    falling_loss: ClassVar[Loss] = "training"
    short_try: ClassVar[Mapping[str, object]] = {
        "width": 16,
        "rate": Decimal("0.002"),
        "ema_half_life": 30,
    }
    classes: Annotated[int, Field(ge=0, le=10_000)] = 0
    """0, or the number of classes on which the network is conditioned; every picture then needs one."""
    width: Annotated[int, Field(ge=4, le=512)] = 32
    """Channels at half the picture's size; each time the size halves again, they double."""
    batch: Batch = 32
    """Pictures per step."""
    rate: Rate = Decimal("0.001")
    beta1: Kept = Decimal("0.9")
    beta2: Annotated[Decimal | Schedule, OverRounds(Kept)] = Decimal("0.99")
    """Adam's learning rate, and its decay rates of the first and second moment."""
    ema_half_life: HalfLife = 200
    """Half-life of the exponential moving average of the network; 0 keeps no average."""
    ema_unit: Unit = "steps"
    """What `ema_half_life` counts: optimiser steps, or rounds of the federation."""
    sampling_steps: Annotated[int, Field(ge=1, le=1000)] = 8
    """Steps from noise to a picture, by the midpoint method: the network runs twice in each."""

    @property
    def tensor_roles(self) -> Roles:
        """The average of the network."""
        return Roles(averages=_averages("flow", self.ema_half_life, self.ema_unit))


def _averages(part: str, half_life: int, unit: Unit) -> tuple[Average, ...]:
    """The role of a part's average; none for a half-life of 0."""
    if not half_life:
        return ()
    return (Average(name=f"{part}_ema", of=part, half_life=half_life, unit=unit),)


SHIPPED: tuple[type[PictureLearner], ...] = (GanLearner, ClassifierLearner, FlowLearner)
"""The learners that come with this package."""

LEARNERS: tuple[type[LearnerChoice], ...] = (*SHIPPED, ModuleLearner, FlowerLearner)
"""The choices for `learner` in a manifest."""

DEFAULT_LEARNER: LearnerChoice = GanLearner()
"""The learner of a manifest that names none: the first of the choices."""
