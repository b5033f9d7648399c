"""What a manifest's sections are made of: frozen values, exact numbers, and choices among kinds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, ClassVar, Literal, Union

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
)
from pydantic_core import CoreSchema, core_schema


def _as_decimal(value: object) -> object:
    # A float has been rounded already; TOML and JSON numbers arrive as Decimal or str instead.
    if isinstance(value, bool) or not isinstance(value, str | int):
        return value
    try:
        return Decimal(value)
    except InvalidOperation:
        raise ValueError("expected a number") from None


def written(value: Decimal) -> str:
    """The one spelling of an exact decimal: without exponent or trailing zeros, and zero without a sign."""
    return format(value.normalize() or Decimal(0), "f")


Number = Annotated[
    Decimal,
    BeforeValidator(_as_decimal),
    PlainSerializer(written),
    Field(allow_inf_nan=False, max_digits=28, decimal_places=18),
]
"""An exact decimal, in JSON a string (`written`)."""

Fraction = Annotated[Number, Field(gt=0, le=1, decimal_places=4)]


class Section(BaseModel):
    """A part of a manifest: a frozen value that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Choice(Section):
    """One kind of algorithm, such as one aggregation rule, and its knobs.

    A subclass sets `kind: Literal["name"] = "name"` and is defined next to the function that carries it out. A table
    in the same package lists both.
    """

    kind: str

    robust: ClassVar[bool] = False
    """For an aggregation rule: whether it tolerates Byzantine members."""
    sparse: ClassVar[bool] = False
    """For a codec: whether it sets most coordinates of an update to zero, different ones for each member."""

    @classmethod
    def name(cls) -> str:
        """The kind's name."""
        return str(cls.model_fields["kind"].default)

    def objection(self, beside: Beside) -> str | None:
        """Why this choice does not go with the manifest's other choices; None if it does."""
        return None


Loss = Literal["training", "held_out"]
"""One of the two losses that members record."""


OptimiserState = Literal["kept", "fresh"]
"""Whether optimisers keep their state (moments, momentum) from round to round, or start each round anew."""


@dataclass(frozen=True, slots=True)
class Beside:
    """The part of the manifest beside a choice that an objection may look at.

    Attributes:
        falling_loss: The loss that falls as the manifest's learner improves.
        momentum: The momentum of the learner's SGD; 0 without momentum, and for another optimiser.
        optimiser_state: Whether the learner's optimisers keep their state from round to round.
        members: Number of members.
        min_updates: Number of updates that a round needs.
        share: Patterns over the names of the tensors that are averaged.
        train, stages, feedback, send, combine: The strategy's choices.
        variance: Omega of the chain of codecs: the most that its expected squared error can be, as a multiple of the
            squared norm of what it encodes; 0 for a chain without chance.
    """

    falling_loss: Loss
    momentum: Decimal
    optimiser_state: OptimiserState
    members: int
    min_updates: int
    share: tuple[str, ...]
    train: Choice
    stages: tuple[Choice, ...]
    feedback: Decimal
    variance: float
    send: Choice
    combine: Choice


class OneOf:
    """Marks a field as a choice among the kinds of a table.

    In a manifest the choice is a name, such as `"krum"`, or a table with knobs, such as `{kind = "krum", keep = 2}`.
    Without a `kind`, the first one is used.
    """

    def __init__(self, kinds: Iterable[type[Choice]]) -> None:
        self._kinds = tuple(kinds)

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        choice: Any = self._kinds[0]
        if len(self._kinds) > 1:
            choice = Annotated[Union[self._kinds], Field(discriminator="kind")]  # noqa: UP007
        return core_schema.no_info_before_validator_function(
            self._with_kind, handler.generate_schema(choice)
        )

    def _with_kind(self, value: object) -> object:
        if isinstance(value, str):
            return {"kind": value}
        if isinstance(value, dict) and "kind" not in value:
            return {"kind": self._kinds[0].name(), **value}
        return value
