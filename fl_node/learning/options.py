"""The knobs of training, as plain values: the training code needs no manifest to be run or timed by itself.

Each kind of model has a class of them in its own folder. They have no defaults: those stand in the manifest's learners
(`fl_node.manifest.learners`), and nowhere else.
"""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from typing import Any, ClassVar, Protocol, TypeVar

Knobs = TypeVar("Knobs")


class Options(Protocol):
    """What the options of every kind of model have. Ranges and meanings: `fl_node.manifest`.

    Attributes:
        kind: The kind's name in a manifest.
        channels, size: Of the square pictures.
        held_out: Share of a member's data that is measured on, and never trained on.
        batch: Pictures in a step.
        share: Patterns over the names of the tensors that are exchanged.
    """

    kind: ClassVar[str]

    @property
    def channels(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def held_out(self) -> float: ...
    @property
    def batch(self) -> int: ...
    @property
    def share(self) -> tuple[str, ...]: ...


def options_from(options: type[Knobs], *sections: object, **given: Any) -> Knobs:
    """Fill options by name from a manifest's sections: exact decimals become floats.

    Args:
        options: A dataclass.
        sections: Searched in this order.
        given: Values for fields that no section has, or that are not to be taken from one.
    """
    wanted = [field.name for field in fields(options) if field.name not in given]  # type: ignore[arg-type]
    return options(**{name: _plain(_find(name, sections)) for name in wanted}, **given)


def _find(name: str, sections: tuple[object, ...]) -> object:
    return next(getattr(section, name) for section in sections if hasattr(section, name))


def _plain(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else value
