"""Canonical JSON: equal values give equal bytes; and JSON that somebody else wrote, read with care."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from itertools import accumulate
from typing import Any

MAX_JSON_DEPTH = 32

_JSON_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)


def canonical_json(value: object) -> bytes:
    """Encode a value so that equal values give equal bytes: UTF-8, sorted keys, no spaces, no NaN.

    Args:
        value: Dicts with text keys, lists, text, ints, bools and None; no floats, whose text differs between languages.

    Raises:
        TypeError: A float or another type is in the value.
    """
    _refuse_floats(value)
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def parse_json(text: str) -> Any:
    """Parse JSON that somebody else wrote; fractions become `Decimal`.

    Raises:
        ValueError: Not JSON, or nested more than `MAX_JSON_DEPTH` deep. The parser itself would run out of stack
            there, and with the recursion limit that py-evm sets it takes the process with it.
    """
    brackets = (token for token in _JSON_TOKENS.findall(text) if len(token) == 1)
    depths = accumulate(1 if bracket in "[{" else -1 for bracket in brackets)
    if any(depth > MAX_JSON_DEPTH for depth in depths):
        raise ValueError(f"nested more than {MAX_JSON_DEPTH} deep")
    return json.loads(text, parse_float=Decimal)


def _refuse_floats(value: object) -> None:
    if isinstance(value, dict):
        for item in value.values():
            _refuse_floats(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_floats(item)
    elif isinstance(value, float):
        raise TypeError(f"canonical JSON holds no floats, got {value!r}")
