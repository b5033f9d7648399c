"""Size limits for a manifest's values, checked before they are validated.

The limits are far above every sensible manifest. Without them, converting `seed = 1e999999999` to an integer would take
minutes, and half a million wrong members would give half a million errors.
"""

from __future__ import annotations

import tomllib
from decimal import Decimal
from typing import Any

MAX_TOML_BYTES = 1 << 16
MAX_VALUES = 2_000
"""Total number of keys and values."""
MAX_TEXT = 1_000
"""Characters in one text."""
MAX_DIGITS = 78
"""Digits of a number, before or after its decimal point."""

_MAX_BRACKETS = 200
_MAX_DOTS = 2_000


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML; fractions become exact decimals.

    Args:
        text: At most `MAX_TOML_BYTES`.

    Raises:
        ValueError: Not TOML, or more brackets or dots than a manifest needs: the parser recurses on brackets, and takes
            quadratic time for dots.
    """
    for what, count, most in (
        ("opening brackets", text.count("[") + text.count("{"), _MAX_BRACKETS),
        ("dots", text.count("."), _MAX_DOTS),
    ):
        if count > most:
            raise ValueError(f"{count} {what}; at most {most} are allowed")
    return tomllib.loads(text, parse_float=_decimal)


def verify_bounds(values: object) -> None:
    """Refuse a manifest with too many values, or with values that are too long or too large.

    Raises:
        ValueError: The message names the field, what is too much, and what is allowed.
    """
    pending, seen = [("", values)], 0
    while pending:
        field, value = pending.pop()
        seen += 1
        if isinstance(value, dict):
            pending += [(field, name) for name in value]
            pending += [(f"{field}.{name}".strip("."), item) for name, item in value.items()]
        elif isinstance(value, list | tuple):
            pending += [(field, item) for item in value]
        elif trouble := _too_long(value):
            raise ValueError(f"{field}: {trouble}" if field else trouble)
        if seen + len(pending) > MAX_VALUES:
            raise ValueError(f"more than {MAX_VALUES} keys and values")


def _too_long(value: object) -> str | None:
    if isinstance(value, str) and len(value) > MAX_TEXT:
        return f"a text of {len(value)} characters; at most {MAX_TEXT} are allowed"
    huge = isinstance(value, int) and abs(value) >= 10**MAX_DIGITS
    if huge or (isinstance(value, Decimal) and _digits(value) > MAX_DIGITS):
        return f"a number of more than {MAX_DIGITS} digits"
    return None


def _digits(number: Decimal) -> int:
    """Number of digits of the number written without exponent; 0 if it is not finite."""
    _, digits, exponent = number.as_tuple()
    return max(len(digits), abs(exponent) + 1) if isinstance(exponent, int) else 0


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except ArithmeticError:  # The exponent is too large for a Decimal.
        raise ValueError(f"the number {text[:40]}: its exponent is out of range") from None
