"""What is done to genuine bytes: blind changes, and changes by somebody who knows JSON and safetensors."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random

Mutation = Callable[[Random, bytes, Sequence[bytes]], bytes]
"""(randomness, what to change, all samples) to changed bytes."""

NUMBERS = [
    *b"0 -0 -1 1 2 255 65536 4294967296 9223372036854775807 9223372036854775808 1e5 1e5000".split(),
    *b"1e999999999 1e-999999999 0.1 0.10 1e99999999999999999999 NaN -Infinity inf nan 0x10".split(),
    *(b"9" * 78, b"9" * 79, b"9" * 5000, b"0x" + b"f" * 5000),
]

TOKENS = [
    *(b"[", b"]", b"{", b"}", b'"', b"\\", b",", b":", b"null", b"true", b"[]", b"{}", b'""'),
    *(b'"\\ud800"', b'"\\u0000"', b'"\x1b[2J"', "\u0661\u202e".encode(), b"\xff", b"\0", b"\r\n"),
    *(b'"__metadata__"', b'"kind":', b'"preset":', b'"*"', b"..", b"=", b"#", b"[[a]]\n"),
]

_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_VALUE = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?|true|false|null|\[\]')
_MEMBER = re.compile(rb'"\w+":(?:"[^"\\]*"|-?\d+|\[[^\[\]{}]*\]),')


def mutated(random: Random, samples: Sequence[bytes]) -> bytes:
    """One to four changes of one of the samples."""
    changed = random.choice(samples)
    for _ in range(random.choice((1, 1, 2, 4))):
        changed = random.choice(MUTATIONS)(random, changed, samples)
    return changed


def flip(random: Random, content: bytes, _: Sequence[bytes]) -> bytes:
    """A bit or a byte."""
    changed = bytearray(content or b"\0")
    at = random.randrange(len(changed))
    changed[at] ^= random.choice((1 << random.randrange(8), random.randrange(1, 256)))
    return bytes(changed)


def cut(random: Random, content: bytes, _: Sequence[bytes]) -> bytes:
    """A piece, or all from somewhere on."""
    start, end = _span(random, content)
    return content[:start] + content[end:] if random.random() < 0.5 else content[:start]


def repeat(random: Random, content: bytes, _: Sequence[bytes]) -> bytes:
    """A piece, a few times or very often."""
    start, end = _span(random, content)
    times = random.choice((2, 3, 1 + 20_000 // (end - start or 1)))
    return content[:start] + content[start:end] * times + content[end:]


def splice(random: Random, content: bytes, samples: Sequence[bytes]) -> bytes:
    """The beginning of this and the end of another sample."""
    other = random.choice(samples)
    return content[: random.randint(0, len(content))] + other[random.randint(0, len(other)) :]


def insert(random: Random, content: bytes, _: Sequence[bytes]) -> bytes:
    """Something that means something to a parser."""
    at = random.randint(0, len(content))
    return content[:at] + random.choice(TOKENS) + content[at:]


def another_number(random: Random, content: bytes, _: Sequence[bytes]) -> bytes:
    """In place of one that stands there as text."""
    return _replaced(random, content, _NUMBER, random.choice(NUMBERS))


def another_value(random: Random, content: bytes, _: Sequence[bytes]) -> bytes:
    """In place of a value of JSON: one of another type, or one nested too deep, or too wide."""
    deep = random.choice((10, 33, 1000, 20_000))
    opening = random.choice((b"[", b'{"a":', b'["]",'))
    closing = b"1" + (b"]" if opening[:1] == b"[" else b"}") * deep
    bombs = (opening * deep, opening * deep + closing, b"[" + b"[]," * deep + b"0]")
    return _replaced(random, content, _VALUE, random.choice((*TOKENS, *NUMBERS, *bombs)))


def member_twice(random: Random, content: bytes, _: Sequence[bytes]) -> bytes:
    """The same key once more."""
    found = list(_MEMBER.finditer(content))
    if not found:
        return content
    member = random.choice(found)
    return content[: member.end()] + member[0] + content[member.end() :]


def in_the_payload(random: Random, content: bytes, samples: Sequence[bytes]) -> bytes:
    """Of a safetensors file, behind a header that stays whole, in the same length: what the codecs see."""
    start = _header_end(content)
    if not start < len(content):
        return content
    payload = bytearray(content[start:])
    for _ in range(random.choice((1, 2, 8))):
        at = random.randrange(len(payload))
        end = at + random.choice((1, 1, 4, len(payload)))
        payload[at:end] = bytes([random.randrange(256)]) * len(payload[at:end])
    return content[:start] + bytes(payload)


def in_the_header(random: Random, content: bytes, samples: Sequence[bytes]) -> bytes:
    """Of a safetensors file, whose length in front is set right again."""
    start = _header_end(content)
    if not start:
        return content
    change = random.choice((another_number, another_value, member_twice, insert, flip, cut))
    header = change(random, content[8:start].rstrip(b" "), samples)
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[start:]


MUTATIONS: tuple[Mutation, ...] = (
    flip,
    cut,
    repeat,
    splice,
    insert,
    another_number,
    another_value,
    member_twice,
    in_the_payload,
    in_the_payload,
    in_the_header,
    in_the_header,
)


def _span(random: Random, content: bytes) -> tuple[int, int]:
    start = random.randint(0, len(content))
    return start, min(len(content), start + random.choice((1, 4, 32, len(content))))


def _replaced(random: Random, content: bytes, what: re.Pattern[bytes], new: bytes) -> bytes:
    found = list(what.finditer(content))
    if not found:
        return content
    old = random.choice(found)
    return content[: old.start()] + new + content[old.end() :]


def _header_end(content: bytes) -> int:
    """Where the tensors of a safetensors file begin; 0 where the content is none."""
    end = 8 + int.from_bytes(content[:8], "little")
    return end if content[8:9] == b"{" and end <= len(content) else 0
