"""The strategy: independent choices that together are a federated algorithm, and names for well-known combinations."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from fl_node.aggregation import COMBINE, WeightedMean
from fl_node.codecs import STAGES, objections
from fl_node.fields import Choice, Number, OneOf, Section
from fl_node.relevance import SEND, Always
from fl_node.training import TRAIN, Plain

Amount = Annotated[int, Field(ge=1)]


class Work(Section):
    """How much a member trains in a round, and how."""

    steps: Amount | tuple[Amount, ...] | None = None
    """Optimiser steps: one number, or one for each member."""
    epochs: Amount | tuple[Amount, ...] | None = None
    """Passes over its data: one number, or one for each member."""
    until: Literal["done", "median_loss"] = "done"
    """Whether the work is fixed, or goes on in parts until the last round's median loss is reached (LoAdaBoost)."""
    loss: Literal["training", "held_out"] = "training"
    """Which loss is held against the median, and recorded as the training loss."""
    devices: Annotated[int, Field(ge=1, le=1000)] = 1
    """Devices behind an edge node, each with an equal part of its member's data."""
    edge_rounds: Annotated[int, Field(ge=1, le=1000)] = 1
    """How often an edge node averages its devices, each of which has then done the steps, before it sends."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        return self

    def amount(self, index: int) -> int:
        """The number of steps or epochs of the member at an index."""
        amount = self.steps if self.steps is not None else self.epochs
        return amount[index] if isinstance(amount, tuple) else amount or 0

    def objection(self, members: int, learner: str) -> str | None:
        """Why it makes no sense with so many members and this learner; None where it does."""
        if (self.until, self.loss, learner) == ("median_loss", "training", "gan"):
            return "a GAN's training loss does not fall as it learns; use loss = held_out with until = median_loss"
        for name in ("steps", "epochs"):
            amount = getattr(self, name)
            if isinstance(amount, tuple) and len(amount) != members:
                return f"{name} has {len(amount)} entries, but there are {members} members"
        return None


def _as_stages(value: object) -> object:
    if value == "float32":
        return {}
    return {"stages": value} if isinstance(value, str | list | tuple) else value


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class Encode(Section):
    """How a difference travels: through no stage as float32, or through codecs one after the other."""

    stages: Annotated[tuple[Annotated[Choice, OneOf(STAGES)], ...], BeforeValidator(_as_list)] = ()
    feedback: Annotated[Number, Field(ge=0, le=1)] = Decimal(0)
    """Share of what the codecs lost that the member adds to its next difference; 0 forgets it."""

    @property
    def label(self) -> str:
        """The codecs by name, as an update's header says them."""
        return "+".join(stage.kind for stage in self.stages) or "float32"


class Strategy(Section):
    """The choices."""

    share: Annotated[tuple[str, ...], Field(min_length=1)] = ("*",)
    """Patterns over tensor names; what matches is exchanged, the rest stays with its member."""
    train: Annotated[Choice, OneOf(TRAIN)] = Plain()
    work: Work = Work(epochs=1)
    encode: Annotated[Encode, BeforeValidator(_as_stages)] = Encode()
    send: Annotated[Choice, OneOf(SEND)] = Always()
    combine: Annotated[Choice, OneOf(COMBINE)] = WeightedMean()

    @staticmethod
    def kinds() -> tuple[type[Choice], ...]:
        """Every kind that one of the choices may be."""
        return (*TRAIN, *STAGES, *SEND, *COMBINE)

    @property
    def choices(self) -> Mapping[str, Choice]:
        """Every choice, by the field in which it stands."""
        stages = {f"encode.{stage.kind}": stage for stage in self.encode.stages}
        return {"train": self.train, "send": self.send, "combine": self.combine} | stages

    @property
    def slots(self) -> tuple[str, ...]:
        """The server's state that is stored and hashed with the model: one array for each tensor and slot."""
        return COMBINE[type(self.combine)].slots + TRAIN[type(self.train)].slots

    @property
    def needs_past(self) -> bool:
        """Whether training asks for what earlier rounds recorded."""
        return (
            TRAIN[type(self.train)].needs_past
            or self.work.until == "median_loss"
            or self.needs_previous
        )

    @property
    def needs_previous(self) -> bool:
        """Whether what is sent depends on how the last round moved the model."""
        return not isinstance(self.send, Always)

    def objection(self, members: int, learner: str) -> str | None:
        """Why the work or the codecs make no sense; what a choice minds, it says itself."""
        work = self.work.objection(members, learner)
        codecs = objections(self.encode.stages)
        return (work and f"work: {work}") or (codecs and f"encode: {codecs}") or None


BODY = {"gan": ["generator*"], "classifier": ["base.*"]}
"""What FedPer shares, by learner; the discriminator or the last layer stays with its member."""

MEANINGFUL = {"gan": "held_out", "classifier": "training"}
"""Which loss LoAdaBoost goes by, by learner: it must say how good a model is."""

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "fedavg": {},
    "fedprox": {"train": {"kind": "proximal", "mu": "0.01"}},
    "fedprox_adaptive": {"train": {"kind": "adaptive_proximal"}},
    "scaffold": {"train": {"kind": "scaffold"}},
    "ditto": {"train": {"kind": "ditto"}},
    "two_stream": {"train": {"kind": "two_stream"}},
    "fedper": {"share": BODY},
    "loadaboost": {"work": {"epochs": 2, "until": "median_loss"}},
    "hierfavg": {"work": {"epochs": 1, "devices": 2, "edge_rounds": 2}},
    "fedavgm": {"combine": {"kind": "momentum"}},
    "fedadagrad": {"combine": {"kind": "adagrad"}},
    "fedadam": {"combine": {"kind": "adam"}},
    "fedyogi": {"combine": {"kind": "yogi"}},
    "fednova": {"combine": {"kind": "fednova"}},
    "median": {"combine": {"kind": "median"}},
    "trimmed_mean": {"combine": {"kind": "trimmed_mean"}},
    "krum": {"combine": {"kind": "krum"}},
    "multi_krum": {"combine": {"kind": "krum", "keep": 2}},
    "cmfl": {"send": {"kind": "relevance"}},
    "qsgd": {"encode": {"stages": [{"kind": "quantise", "bits": 8}]}},
    "dgc": {"encode": {"stages": [{"kind": "top_k", "fraction": "0.01"}], "feedback": 1}},
    "esgd": {"encode": {"stages": [{"kind": "esgd", "fraction": "0.125"}], "feedback": "0.9"}},
    "sketched": {
        "encode": {
            "stages": [
                {"kind": "subsample", "one_in": 16},
                {"kind": "rotate"},
                {"kind": "quantise", "bits": 2},
            ]
        }
    },
}
"""Names for well-known combinations. A preset is a starting point: choices written beside it win."""


def expand_preset(strategy: object, learner: str) -> dict[str, Any]:
    """Write a preset's choices out.

    Args:
        strategy: As a person wrote it: a preset's name, or choices, with `preset` among them or not.
        learner: The learner's kind, which decides what a preset shares.

    Raises:
        ValueError: No such preset.
    """
    chosen = dict(strategy) if isinstance(strategy, Mapping) else {"preset": strategy}
    name = chosen.pop("preset", "fedavg")
    if not isinstance(name, str) or name not in PRESETS:
        raise ValueError(f"strategy {name!r} is not known; allowed: {', '.join(sorted(PRESETS))}")
    preset = dict(PRESETS[name])
    if "share" in preset:
        preset["share"] = preset["share"].get(learner, ["*"])
    if "until" in preset.get("work", {}):
        preset["work"] = {**preset["work"], "loss": MEANINGFUL.get(learner, "held_out")}
    return _over(preset, chosen)


def _over(preset: dict[str, Any], chosen: dict[str, Any]) -> dict[str, Any]:
    """What is chosen wins field by field, within a section too; another kind replaces a section whole."""
    merged = {**preset, **chosen}
    for name in preset.keys() & chosen.keys():
        one, other = preset[name], chosen[name]
        if _same_kind(one, other):
            merged[name] = {**_without_rival(one, other), **other}
    return merged


def _same_kind(one: object, other: object) -> bool:
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return False
    return "kind" not in other or other["kind"] == one.get("kind")


def _without_rival(work: dict[str, Any], chosen: dict[str, Any]) -> dict[str, Any]:
    """Steps and epochs exclude each other, so that who writes one drops the preset's other."""
    rivals = {"steps", "epochs"}
    return {
        key: value for key, value in work.items() if not (key in rivals and rivals & chosen.keys())
    }
