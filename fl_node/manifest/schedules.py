"""Knobs of a learner that may change from round to round, such as a learning rate.

For example `rate = [[1, 0.001], [50, 0.0001]]` is 0.001 in rounds 1 to 49 and 0.0001 from round 50 on, and
`rate = {from = 0.001, to = 0.0001, over = 50}` falls a little in each round, until it is 0.0001 in round 50.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    RootModel,
    ValidatorFunctionWrapHandler,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from fl_node.fields import Number, Section, written

Round = Annotated[int, Field(ge=1, le=65_535)]


class Pieces(RootModel[tuple[tuple[Round, Number], ...]]):
    """A schedule of pairs (round, value): each value holds from its round until the round of the next pair."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="after")
    def _rounds_ascend(self) -> Self:
        rounds = [round for round, _ in self.root]
        if rounds[:1] != [1]:
            raise ValueError("a schedule begins with round 1")
        for before, after in pairwise(rounds):
            if after <= before:
                raise ValueError(f"a schedule's rounds ascend, but {after} follows {before}")
        return self

    @property
    def bounds(self) -> tuple[Decimal, ...]:
        """Values among which are the least and the greatest of all rounds."""
        return tuple(value for _, value in self.root)

    def at(self, round: int) -> float:
        """The value in a round, from 1."""
        return float([value for begin, value in self.root if begin <= round][-1])


class Ramp(Section):
    """A schedule that goes from one value in round 1 to another in round `over`, and stays there."""

    model_config = ConfigDict(serialize_by_alias=True)

    begin: Annotated[Number, Field(alias="from")]
    end: Annotated[Number, Field(alias="to")]
    over: Annotated[Round, Field(ge=2)]
    kind: Literal["cosine", "linear"] = "cosine"
    """`cosine` is half a period, so slow at both ends (Loshchilov and Hutter 2016, arXiv:1608.03983, equation 5)."""

    @property
    def bounds(self) -> tuple[Decimal, ...]:
        """Values among which are the least and the greatest of all rounds."""
        return (self.begin, self.end)

    def at(self, round: int) -> float:
        """The value in a round, from 1: exact arithmetic, rounded once.

        The cosine itself is the machine's, so its last bit may differ between machines.
        """
        done = Fraction(min(round, self.over) - 1, self.over - 1)
        if self.kind == "cosine":
            done = Fraction((1 - math.cos(math.pi * done)) / 2)
        begin, end = Fraction(self.begin), Fraction(self.end)
        return float(begin + (end - begin) * done)


Schedule = Pieces | Ramp
"""What a knob is in each round; `at(round)` gives it."""


class OverRounds:
    """Marks a field that is a number or a schedule, whose values are then all in the number's range.

    In canonical JSON a number is written as always, and a schedule as a list of pairs or as an object.
    """

    def __init__(self, number: Any) -> None:
        self._number = number

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(
            _number_or_schedule,
            handler.generate_schema(self._number),
            serialization=core_schema.plain_serializer_function_ser_schema(_written),
        )


def _number_or_schedule(value: object, number: ValidatorFunctionWrapHandler) -> object:
    schedule: Schedule
    if isinstance(value, list | tuple | Pieces):
        schedule = Pieces.model_validate(value)
    elif isinstance(value, dict | Ramp):
        schedule = Ramp.model_validate(value)
    else:
        return number(value)
    for bound in schedule.bounds:
        number(bound)
    return schedule


def _written(value: Decimal | Schedule) -> Any:
    return written(value) if isinstance(value, Decimal) else value.model_dump(mode="json")
