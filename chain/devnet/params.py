"""Checks the parameters of JSON-RPC requests and turns them into values.

Source: https://ethereum.github.io/execution-apis, which defines quantity, data, message and log filter.
"""

from __future__ import annotations

import re
from typing import Any

from chain.devnet.answers import Json, data
from chain.devnet.blocks import Call
from chain.devnet.database import Choice

MAX_TOPICS = 4
MAX_CHOICES = 1000
MAX_PERCENTILES = 100

_QUANTITY = re.compile(r"0x(0|[1-9a-f][0-9a-f]{0,63})")
_DATA = re.compile(r"0x([0-9a-f]{2})*")
_SLOT = re.compile(r"0x[0-9a-f]{1,64}")


class ParamsInvalid(Exception):
    """A parameter is missing or has the wrong form."""


def shown(value: Any) -> str:
    """A client's value for an error message: short ASCII without control characters."""
    return ascii(str(value)[:80])


def to_quantity(value: Any) -> int:
    """A number of up to 256 bits."""
    return int(_text(value, _QUANTITY, "a quantity (0x and hex digits, no leading zeros)"), 16)


def to_data(value: Any, length: int | None = None) -> bytes:
    """Bytes; exactly `length` of them if it is given."""
    what = "hex data" if length is None else f"{length} bytes of hex data"
    raw = bytes.fromhex(_text(value, _DATA, what)[2:])
    if length not in (None, len(raw)):
        raise ParamsInvalid(f"expected {what}, got {len(raw)}")
    return raw


def to_slot(value: Any) -> int:
    """A storage slot of a contract: a quantity or, from some programs, 32 bytes."""
    return int(_text(value, _SLOT, "a storage slot"), 16)


def to_count(value: Any) -> int:
    """A quantity or a plain number: some programs send one here, and other nodes accept it."""
    plain = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if plain else to_quantity(value)


def to_record(value: Any) -> Json:
    """A JSON object."""
    if not isinstance(value, dict):
        raise ParamsInvalid(f"expected an object, got {shown(value)}")
    return value


def to_percentiles(value: Any) -> list[float]:
    """Percentiles, 0 to 100, in ascending order."""
    if not isinstance(value, list) or len(value) > MAX_PERCENTILES:
        raise ParamsInvalid(f"expected an array of at most {MAX_PERCENTILES} percentiles")
    numbers = [item for item in value if isinstance(item, int | float)]
    if len(numbers) < len(value) or not all(0 <= number <= 100 for number in numbers):
        raise ParamsInvalid("expected percentiles from 0 to 100")
    if numbers != sorted(numbers):
        raise ParamsInvalid("expected percentiles in ascending order")
    return numbers


def to_choice(value: Any, length: int) -> Choice:
    """A log filter's condition on one field: any value, one value, or one of several."""
    if value is None or value == []:
        return None
    values = value if isinstance(value, list) else [value]
    if len(values) > MAX_CHOICES:
        raise ParamsInvalid(f"expected at most {MAX_CHOICES} values to choose from")
    return [data(to_data(item, length)) for item in values]


def to_topics(value: Any) -> list[Choice]:
    """A log filter's conditions on the first topics."""
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > MAX_TOPICS:
        raise ParamsInvalid(f"expected an array of at most {MAX_TOPICS} topics")
    return [to_choice(topic, 32) for topic in value]


def to_call(value: Any) -> Call:
    """A message to run without a transaction."""
    message = to_record(value)
    gas = message.get("gas")
    return Call(
        sender=to_data(message.get("from") or "0x" + "00" * 20, 20),
        to=to_data(message["to"], 20) if message.get("to") else b"",
        data=to_data(message.get("input") or message.get("data") or "0x"),
        value=to_quantity(message.get("value") or "0x0"),
        gas=None if gas is None else to_quantity(gas),
    )


def _text(value: Any, pattern: re.Pattern[str], what: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value.lower()):
        raise ParamsInvalid(f"expected {what}, got {shown(value)}")
    return value.lower()
