"""The knobs of training as plain values, so that the training code can run without a manifest.

Each kind of model has its own class of options, and users' own models have one for all. They have no defaults: all
defaults are in the manifest's learners (`fl_node.manifest.learners`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import Any, ClassVar, Protocol, Self, TypeVar, runtime_checkable

Knobs = TypeVar("Knobs", bound="Options")


@runtime_checkable
class Schedule(Protocol):
    """What a knob is in each round; `fl_node.manifest.schedules` implements it."""

    def at(self, round: int) -> float:
        """The value in a round, from 1."""


Schedules = tuple[tuple[str, Schedule], ...]
"""The knobs that change from round to round, by name."""


class Options(Protocol):
    """The options that every kind of model has. For ranges and meanings see `fl_node.manifest`.

    Attributes:
        kind: The kind's name in a manifest.
        knobs: What the learner's `build`, `data` and `optimisers` get.
        held_out: Share of a member's data that is held out from training, for measurements.
        batch: Number of examples in a step.
        share: Patterns over tensor names; tensors that match are exchanged.
        schedules: Knobs that change from round to round; they have the values of round 1 (`at_round`).
    """

    kind: ClassVar[str]

    @property
    def knobs(self) -> Any: ...
    @property
    def held_out(self) -> float: ...
    @property
    def batch(self) -> int: ...
    @property
    def share(self) -> tuple[str, ...]: ...
    @property
    def schedules(self) -> Schedules: ...


class PictureOptions(Options, Protocol):
    """The options of the kinds that learn from pictures: also channels, and pixels on each side of a square picture."""

    @property
    def channels(self) -> int: ...
    @property
    def size(self) -> int: ...


class AsKnobs:
    """Options that are their learner's knobs themselves."""

    __slots__ = ()

    @property
    def knobs(self) -> Self:
        """The options."""
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnOptions:
    """How a member trains a user's own model.

    Attributes:
        text: The manifest's `learner.knobs` as JSON.
        metrics: Names of what `measure` has to give, beside what else it gives.
    """

    kind: ClassVar[str] = "module"

    text: str
    held_out: float
    batch: int
    share: tuple[str, ...]
    metrics: tuple[str, ...] = ()
    schedules: Schedules = ()

    @property
    def knobs(self) -> dict[str, Any]:
        """The knobs, read anew, so that a user's code may change them."""
        return json.loads(self.text)


@runtime_checkable
class Averaging(Protocol):
    """Options of a kind that keeps a moving average: its half-life, and whether that counts steps or rounds."""

    ema_half_life: int
    ema_unit: str


def options_from(options: type[Knobs], *sections: object, **given: Any) -> Knobs:
    """Fill options by name from a manifest's sections; exact decimals become floats.

    Args:
        options: A dataclass.
        sections: Searched in this order.
        given: Values that are used instead of a section's.
    """
    names = [field.name for field in fields(options) if field.name not in given]  # type: ignore[arg-type]
    found = {name: _find(name, sections) for name in names if name != "schedules"}
    schedules = {name: value for name, value in found.items() if isinstance(value, Schedule)}
    plain = {name: _plain(value) for name, value in found.items()}
    return at_round(options(**plain, **given, schedules=tuple(schedules.items())), 1)


def at_round(options: Knobs, round: int) -> Knobs:
    """The options in a round, from 1, with a plain number for each knob that has a schedule."""
    values = {name: schedule.at(round) for name, schedule in options.schedules}
    return replace(options, **values)  # type: ignore[type-var]


def in_steps(options: Knobs, steps: int) -> Knobs:
    """The options for a round's training of so many steps, in which an average's half-life always counts steps."""
    if not isinstance(options, Averaging) or options.ema_unit == "steps":
        return options
    half_life = options.ema_half_life * steps
    return replace(options, ema_half_life=half_life, ema_unit="steps")  # type: ignore[type-var]


def comparable(options: Options, besides: Collection[str] = ()) -> tuple[object, ...]:
    """The values of options, equal for options with which a training takes the same steps.

    Args:
        options: Any learner's. Arrays among them, such as an extractor's weights, are nothing that a training reads.
        besides: Names of options that are left out.
    """
    names = [field.name for field in fields(options) if field.name not in besides]  # type: ignore[arg-type]
    values = (getattr(options, name) for name in names)
    return type(options), *(value for value in values if not isinstance(value, Mapping))


def _find(name: str, sections: tuple[object, ...]) -> object:
    return next(getattr(section, name) for section in sections if hasattr(section, name))


def _plain(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else value
