"""Genuine JSON, spoilt in one or a few places: what a fuzz test of a decoder of answers is fed with."""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

STRANGE: tuple[Any, ...] = (
    *(None, True, False, [], {}, [[]], "", " ", "\x1b[2J", "\ud800", "x" * 10_000),
    *(0, -1, 1, 2**31, 2**63, 2**64, 2**256, 10**400, 1.5, 1e308, float("nan"), float("inf")),
    *("0x", "0x0", "0x1", "0x-1", "0xg", "0X1", "0x0x1", "1", "0x" + "f" * 15, "0x" + "f" * 16),
    *("0x" + "f" * 64, "0x" + "f" * 65, "0x" + "00" * 20, "0x" + "ff" * 32, "0x" + "00" * 5_000),
    {"code": 3, "message": "execution reverted", "data": "0x08c379a0"},
)


def mutated_json(value: Any, random: Random, times: int = 1) -> Any:
    """The value with so many of its parts replaced, removed, doubled, or put in place of others."""
    spoilt = copy.deepcopy(value)
    for _ in range(times):
        places = list(_places(spoilt))
        if not places:
            return random.choice(STRANGE)
        inside, key = random.choice(places)
        _spoil(inside, key, random, [inside[key] for inside, key in places])
    return spoilt


def mutated_bytes(value: Any, random: Random) -> bytes:
    """The value as JSON text that was cut, or in which some bytes are others."""
    text = bytearray(json.dumps(value).encode())
    match random.randrange(4):
        case 0:
            return bytes(text[: random.randrange(len(text))])
        case 1:
            for _ in range(random.randint(1, 8)):
                text[random.randrange(len(text))] = random.randrange(256)
        case 2:
            place = random.randrange(len(text))
            text[place:place] = random.choice((b"[", b"{", b'"', b"\\", b"9" * 5_000, b"1e999"))
        case _:
            place = random.randrange(len(text))
            text[place:place] = random.choice((b"[", b'{"a":')) * random.choice((1, 100, 50_000))
    return bytes(text)


def _places(value: Any) -> Any:
    """Where a part lies in a value: what it is in, and under which key."""
    keys = (
        range(len(value)) if isinstance(value, list) else value if isinstance(value, dict) else ()
    )
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _spoil(inside: Any, key: Any, random: Random, others: list[Any]) -> None:
    match random.randrange(5):
        case 0:
            del inside[key]
        case 1 if isinstance(inside, list):
            inside.insert(key, copy.deepcopy(inside[key]))
        case 2:
            inside[key] = copy.deepcopy(random.choice(others))
        case 3 if isinstance(inside[key], str) and inside[key]:
            inside[key] = _other_digit(inside[key], random)
        case _:
            inside[key] = copy.deepcopy(random.choice(STRANGE))


def _other_digit(text: str, random: Random) -> str:
    place = random.randrange(len(text))
    return text[:place] + random.choice("0123456789abcdefxg") + text[place + 1 :]
