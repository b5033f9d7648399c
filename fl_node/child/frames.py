"""What parent and child say to each other: JSON and named arrays, as one tensors blob behind its length.

A frame is the blob's length, 8 bytes little-endian, then the blob (docs/protocol.md, "Tensors"). Its note is canonical
JSON: what is said, and which groups of arrays come with it. An array's name in the blob is `GROUP.NAME`. Frames are
written in pieces and read into one buffer, so that weights are copied only into the pipe and out of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from fl_node.arrays import Array, Arrays, prefixed
from fl_node.blobs.canonical import canonical_json, parse_json
from fl_node.blobs.digest import Blob
from fl_node.blobs.tensors import MAX_HEADER_BYTES, decode_tensors, pieces_of
from fl_node.errors import BlobMalformed

LENGTH_BYTES: Final = 8
SMALL: Final = MAX_HEADER_BYTES + LENGTH_BYTES
"""The most bytes of a blob without arrays."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is said, as JSON without fractions, and arrays in named groups."""

    says: Mapping[str, Any]
    groups: Mapping[str, Arrays] = field(default_factory=dict)


def frame_of(message: Message) -> list[Blob]:
    """The frame in pieces.

    Raises:
        Misuse: An array cannot be stored: it has no element, or a dtype that no blob can hold.
    """
    arrays: dict[str, Array] = {}
    for group, members in message.groups.items():
        arrays |= prefixed(f"{group}.", members)
    note = canonical_json({"groups": sorted(message.groups), "says": dict(message.says)})
    pieces = pieces_of(arrays, note.decode())
    return [sum(map(len, pieces)).to_bytes(LENGTH_BYTES, "little"), *pieces]


def message_of(blob: Blob) -> Message:
    """Read a frame's blob; the arrays are read-only views of it.

    Raises:
        BlobMalformed: Not what `frame_of` writes.
    """
    arrays, note = decode_tensors(blob)
    try:
        whole = parse_json(note or "")
    except ValueError as error:
        raise BlobMalformed(f"the message cannot be read: {error}") from None
    says, names = _parts(whole)
    groups: dict[str, dict[str, Array]] = {name: {} for name in names}
    for name, array in arrays.items():
        group, dot, inside = name.partition(".")
        if group not in groups or not dot:
            raise BlobMalformed("an array belongs to no group of the message")
        groups[group][inside] = array
    return Message(says, groups)


def _parts(whole: Any) -> tuple[dict[str, Any], list[str]]:
    if not isinstance(whole, dict) or whole.keys() != {"groups", "says"}:
        raise BlobMalformed("the message has other parts than groups and says")
    says, names = whole["says"], whole["groups"]
    if not isinstance(says, dict) or not isinstance(names, list):
        raise BlobMalformed("the message's parts are malformed")
    if not all(isinstance(name, str) for name in names):
        raise BlobMalformed("the message's groups have no names")
    return says, names


def buffer_of(size: int) -> memoryview:
    """Memory to read into, which takes no space before it is filled."""
    return np.empty(size, np.uint8).data


def write_frame(descriptor: int, pieces: Iterable[Blob]) -> None:
    """Write a frame to a pipe, and wait until it is through."""
    for piece in pieces:
        left = memoryview(piece)
        while left:
            left = left[os.write(descriptor, left) :]


def read_frame(descriptor: int) -> memoryview | None:
    """Read a frame's blob from a pipe, and wait for it; None if the pipe ended."""
    head = _read(descriptor, LENGTH_BYTES)
    return head and _read(descriptor, int.from_bytes(head, "little"))


def _read(descriptor: int, size: int) -> memoryview | None:
    buffer, filled = buffer_of(size), 0
    while filled < size:
        count = os.readv(descriptor, [buffer[filled:]])
        if not count:
            return None
        filled += count
    return buffer
