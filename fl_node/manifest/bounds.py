"""What a manifest's values may be at most, checked before anything looks at what they mean.

The limits lie far above every sensible manifest. Without them, `seed = 1e999999999` is a few bytes that take minutes to
become an integer, and half a million wrong members are half a million complaints.
"""

from __future__ import annotations

import tomllib
from decimal import Decimal
from typing import Any

MAX_TOML_BYTES = 1 << 16
MAX_VALUES = 2_000
"""Keys and values in all."""
MAX_TEXT = 1_000
"""Characters of one text."""
MAX_DIGITS = 78
"""Of a number, before or after its point."""

_MAX_BRACKETS = 200
_MAX_DOTS = 2_000


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML; fractions become exact decimals.

    Args:
        text: At most `MAX_TOML_BYTES`.

    Raises:
        ValueError: No TOML, or more brackets or dots than a manifest could have, on which the parser recurses or takes
            quadratic time.
    """
    for what, count, most in (
        ("opening brackets", text.count("[") + text.count("{"), _MAX_BRACKETS),
        ("dots", text.count("."), _MAX_DOTS),
    ):
        if count > most:
            raise ValueError(f"{count} {what}; at most {most} are allowed")
    return tomllib.loads(text, parse_float=_decimal)


def verify_bounds(values: object) -> None:
    """Refuse values of a manifest that are too many, too long or too large to look at.

    Raises:
        ValueError: The field, what there is too much of, and what is allowed.
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
    """Digits that it takes to write the number out without exponent; 0 for what is not finite."""
    _, digits, exponent = number.as_tuple()
    return max(len(digits), abs(exponent) + 1) if isinstance(exponent, int) else 0


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except ArithmeticError:  # An exponent that no decimal has.
        raise ValueError(f"the number {text[:40]}: its exponent is out of range") from None
