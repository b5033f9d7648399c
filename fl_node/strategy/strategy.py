"""The strategy: independent choices that together make up a federated algorithm."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, Field

from chain.types import MAX_MEMBERS
from fl_node.fields import Beside, Choice, Loss, Number, OneOf, OptimiserState, Section
from fl_node.strategy.combine import COMBINE, WeightedMean
from fl_node.strategy.encode import STAGES, chain_objection, chain_variance
from fl_node.strategy.send import SEND, Always
from fl_node.strategy.train import TRAIN, Plain
from fl_node.strategy.work import Work


def _as_stages(value: object) -> object:
    if value == "float32":
        return {}
    return {"stages": value} if isinstance(value, str | list | tuple) else value


def _as_share(value: object) -> object:
    return {"average": value} if isinstance(value, list | tuple) else value


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class Encode(Section):
    """How a difference is encoded: by codecs one after the other, or without any as float32."""

    stages: Annotated[tuple[Annotated[Choice, OneOf(STAGES)], ...], BeforeValidator(_as_list)] = ()
    feedback: Annotated[Number, Field(ge=0, le=1)] = Decimal(0)
    """Error feedback: the share of the codecs' error that a member adds to its next difference; 0 turns it off."""

    @property
    def label(self) -> str:
        """The codecs' names, as an update's header states them."""
        return "+".join(stage.kind for stage in self.stages) or "float32"


class Share(Section):
    """Which tensors leave their member: those that are averaged, and those that are only shown to the others."""

    average: Annotated[tuple[str, ...], Field(min_length=1)] = ("*",)
    """Patterns over tensor names. Tensors that match are averaged; the others stay with their member."""
    publish: tuple[str, ...] = ()
    """Patterns over the names of tensors that stay with their member, but can be read by everybody."""
    opponents: Annotated[int, Field(ge=1, le=MAX_MEMBERS)] = 8
    """The most members against whose published networks a member trains in a round."""

    def objection(self, opponent: str | None, work: Work) -> str | None:
        """Why nothing can be published; None if it can, or if nothing is.

        Args:
            opponent: The part of the model of which the manifest's learner can train against other members' copies.
            work: The manifest's `strategy.work`.
        """
        if not self.publish:
            return None
        if opponent is None:
            return (
                "this learner trains against no network of other members, so nobody would use what is published: "
                "leave publish out"
            )
        if "*" in self.average:
            return f'average = ["*"] leaves nothing to publish: leave {opponent}.* out of it'
        if not work.devices == work.edge_rounds == 1:
            return (
                f"each device behind an edge node has a {opponent} of its own, and none is the member's: publish "
                "nothing, or use work.devices = 1 and work.edge_rounds = 1"
            )
        return None


class Strategy(Section):
    """The choices of a manifest's `[strategy]`."""

    share: Annotated[Share, BeforeValidator(_as_share)] = Share()
    train: Annotated[Choice, OneOf(TRAIN)] = Plain()
    work: Work = Work(epochs=1)
    encode: Annotated[Encode, BeforeValidator(_as_stages)] = Encode()
    send: Annotated[Choice, OneOf(SEND)] = Always()
    combine: Annotated[Choice, OneOf(COMBINE)] = WeightedMean()

    @staticmethod
    def kinds() -> tuple[type[Choice], ...]:
        """Every kind that any of the choices allows."""
        return (*TRAIN, *STAGES, *SEND, *COMBINE)

    @property
    def choices(self) -> Mapping[str, Choice]:
        """Every choice, by its field."""
        stages = {f"encode.{stage.kind}": stage for stage in self.encode.stages}
        return {"train": self.train, "send": self.send, "combine": self.combine} | stages

    @property
    def slots(self) -> tuple[str, ...]:
        """Slots of the server's state, stored and hashed with the model: one array for each weight and slot."""
        return COMBINE[type(self.combine)].slots + TRAIN[type(self.train)].slots

    @property
    def needs_past(self) -> bool:
        """Whether a member needs what earlier rounds recorded."""
        return (
            self.needs_whole_past
            or self.work.until == "median_loss"
            or bool(self.share.publish)
            or self.needs_previous
        )

    @property
    def needs_whole_past(self) -> bool:
        """Whether a member needs what all earlier rounds recorded, instead of the last one with updates."""
        return TRAIN[type(self.train)].needs_past

    @property
    def needs_previous(self) -> bool:
        """Whether sending depends on how the last round changed the model."""
        return not isinstance(self.send, Always)

    def objection(
        self,
        falling_loss: Loss,
        momentum: Decimal,
        optimiser_state: OptimiserState,
        opponent: str | None,
        members: int,
        min_updates: int,
    ) -> str | None:
        """Why these choices do not go together, beginning with the field; None if they do.

        Args:
            falling_loss: The loss that falls as the manifest's learner improves.
            momentum: The momentum of its SGD; 0 for another optimiser.
            optimiser_state: Whether its optimisers keep their state from round to round.
            opponent: The part of its model of which members can train against each other's copies.
            members: Number of members.
            min_updates: Number of updates that a round needs.
        """
        beside = Beside(
            falling_loss=falling_loss,
            momentum=momentum,
            optimiser_state=optimiser_state,
            members=members,
            min_updates=min_updates,
            share=self.share.average,
            train=self.train,
            stages=self.encode.stages,
            feedback=self.encode.feedback,
            variance=chain_variance(self.encode.stages),
            send=self.send,
            combine=self.combine,
        )
        objections = {
            "share": self.share.objection(opponent, self.work),
            "work": self.work.objection(beside),
            "encode": chain_objection(self.encode.stages),
            **{field: choice.objection(beside) for field, choice in self.choices.items()},
        }
        return next((f"{field}: {why}" for field, why in objections.items() if why), None)
