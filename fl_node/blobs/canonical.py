"""Canonical JSON, in which equal values give equal bytes, and a bounded parser for JSON from others."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import numpy as np

MAX_JSON_DEPTH = 32
MAX_JSON_DIGITS = 78
"""The most digits of an integer: those of the largest uint256, such as a task's number on chain."""

_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_STEP_OF_BYTE = np.zeros(128, np.int8)
_STEP_OF_BYTE[list(b"[{")], _STEP_OF_BYTE[list(b"]}")] = 1, -1
"""How an ASCII character changes the nesting depth: +1, -1 or 0."""


def canonical_json(value: object) -> bytes:
    """Encode a value so that equal values give equal bytes: UTF-8, sorted keys, no spaces, no NaN.

    Args:
        value: Dicts with text keys, lists, text, ints, bools and None. No floats, because languages print them
            differently.

    Raises:
        TypeError: The value contains a float or a value of another type.
    """
    _refuse_floats(value)
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def parse_json(text: str, fractions: bool = False) -> Any:
    """Parse JSON that somebody else wrote, in time linear in its length.

    What canonical JSON does not allow is refused before it is converted: the number `1e999999999` takes eleven bytes as
    text, and half a gigabyte as an integer.

    Args:
        text: Anything.
        fractions: Accept numbers with a fraction or an exponent, as floats. Hashed values have none.

    Raises:
        ValueError: The text is not JSON, is nested more than `MAX_JSON_DEPTH` deep, or contains an integer of more than
            `MAX_JSON_DIGITS` digits, a NaN, an infinity, a fraction or exponent (unless allowed), an object with the
            same key twice, or half of a surrogate pair.
    """
    _verify_depth(text)
    value = json.loads(
        text,
        parse_int=_integer,
        parse_float=float if fractions else _refuse_number,
        parse_constant=_refuse_number,
        object_pairs_hook=_object,
    )
    if "\\u" in text:
        json.dumps(value, ensure_ascii=False).encode()  # Half of a surrogate pair has no UTF-8.
    return value


def _verify_depth(text: str) -> None:
    """Refuse deep nesting before parsing: the parser recurses, and with a high recursion limit it kills the process."""
    outside_strings = _STRING.sub("", text).encode("ascii", "ignore")
    depths = np.cumsum(_STEP_OF_BYTE[np.frombuffer(outside_strings, np.uint8)], dtype=np.int32)
    if depths.max(initial=0) > MAX_JSON_DEPTH:
        raise ValueError(f"nested more than {MAX_JSON_DEPTH} deep")


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_JSON_DIGITS:
        raise ValueError(
            f"an integer has {len(digits)} digits; at most {MAX_JSON_DIGITS} are allowed"
        )
    return int(digits)


def _refuse_number(number: str) -> NoReturn:
    raise ValueError(f"the number {number[:40]}: only integers without exponent are allowed")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("an object has the same key twice")
    return members


def _refuse_floats(value: object) -> None:
    if isinstance(value, dict):
        for item in value.values():
            _refuse_floats(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_floats(item)
    elif isinstance(value, float):
        raise TypeError(f"canonical JSON does not allow floats, got {value!r}")
