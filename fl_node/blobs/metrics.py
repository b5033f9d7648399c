"""What members measure, by name: exact decimals, so that everybody who averages them gets the same digits."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Any, Final

from fl_node.fields import written

PLACES: Final = 9
"""Decimals of a metric."""

BELOW: Final = 10**9
"""Every metric is smaller than this in absolute value."""

LONGEST: Final = Decimal("-999999999.999999999")
"""The metric with the longest text."""

NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}")
"""A metric's name."""

_TEXT = re.compile(r"-?(?:0|[1-9][0-9]{0,8})(?:\.[0-9]{0,8}[1-9])?")
_UNIT = Decimal(1).scaleb(-PLACES)
_EXACT = Context(prec=40, rounding=ROUND_HALF_EVEN, traps=[])

Metrics = Mapping[str, Decimal | None]
"""Name to value, with at most `PLACES` decimals and below `BELOW`; None for what is no such number, such as a NaN."""


def metric_of(value: float) -> Decimal | None:
    """A measured number as a metric, rounded half to even; None if it is not finite or too large."""
    if not abs(value) <= BELOW:  # written so that it catches NaN too
        return None
    rounded = Decimal(value).quantize(_UNIT, context=_EXACT)
    # A zero has no sign: "-0" would be a second spelling.
    return (rounded or Decimal(0)) if abs(rounded) < BELOW else None


def metrics_of(names: Iterable[str], measured: Mapping[str, float]) -> dict[str, Decimal | None]:
    """The metrics of these names; None for a name that nobody measured."""
    return {name: metric_of(measured.get(name, math.nan)) for name in names}


def mean_metrics(
    names: Iterable[str], stated: Sequence[tuple[Metrics, int]]
) -> dict[str, Decimal | None]:
    """The exact means over a round's updates, weighted by examples and rounded half to even.

    Args:
        names: The manifest's names.
        stated: (metrics, number of examples > 0) of each update. An update without a value for a name does not count
            towards its mean.

    Returns:
        None for a name for which no update has a value.
    """
    return {name: _mean(name, stated) for name in names}


def metrics_to_json(metrics: Metrics) -> dict[str, str | None]:
    """The metrics as an update's header states them: each in the one spelling of its number, or null."""
    return {name: None if value is None else written(value) for name, value in metrics.items()}


def parse_metrics(value: Any) -> dict[str, Decimal | None]:
    """Read what `metrics_to_json` wrote.

    Raises:
        ValueError: The value is something else.
    """
    if not isinstance(value, dict) or not all(map(NAME.fullmatch, value)):
        raise ValueError("metrics must have names")
    return {name: _parse(text) for name, text in value.items()}


def _parse(text: object) -> Decimal | None:
    if text is None:
        return None
    if not isinstance(text, str) or not _TEXT.fullmatch(text) or text == "-0":
        raise ValueError("a metric must be an exact decimal in its one spelling")
    return Decimal(text)


def _mean(name: str, stated: Sequence[tuple[Metrics, int]]) -> Decimal | None:
    values = [(value, examples) for one, examples in stated if (value := one.get(name)) is not None]
    if not values:
        return None
    total = sum(Fraction(value) * examples for value, examples in values)
    mean = total / sum(examples for _, examples in values)
    return Decimal(round(mean / Fraction(_UNIT))).scaleb(-PLACES)
