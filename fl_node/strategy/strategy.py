"""The strategy: independent choices that together are a federated algorithm, and names for well-known combinations."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, Field

from fl_node.fields import Beside, Choice, Loss, Number, OneOf, Section
from fl_node.strategy.combine import COMBINE, WeightedMean
from fl_node.strategy.encode import STAGES, chain_objection
from fl_node.strategy.send import SEND, Always
from fl_node.strategy.train import TRAIN, Plain
from fl_node.strategy.work import Work


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

    def objection(self, falling_loss: Loss, members: int, min_updates: int) -> str | None:
        """Why these choices make no sense together, beginning with the field; None where they do.

        Args:
            falling_loss: The loss that falls as the manifest's learner gets better.
            members: Number of members.
            min_updates: Updates that a round needs.
        """
        beside = Beside(
            falling_loss=falling_loss,
            members=members,
            min_updates=min_updates,
            share=self.share,
            train=self.train,
            stages=self.encode.stages,
            feedback=self.encode.feedback,
            send=self.send,
            combine=self.combine,
        )
        objections = {
            "work": self.work.objection(beside),
            "encode": chain_objection(self.encode.stages),
            **{field: choice.objection(beside) for field, choice in self.choices.items()},
        }
        return next((f"{field}: {why}" for field, why in objections.items() if why), None)
