"""A cosigned note: whose history, how many events, which head, and who signed it (docs/protocol.md, "Cosigned heads").

    ganchor/11155111/0x00000000000000000000000000000000000000C0/1
    12
    wqLZzbZ8U9JhJdx1Qpv/alxb/lPtaTCjaoIVOqfeMIY=

    — alice.example/witness b6HjbAAAAABpKqVZ...

Source: C2SP, signed-note, tlog-checkpoint and tlog-cosignature. A history here is a chain of hashes and not a tree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from chain.accounts import to_address
from chain.files import read_file
from chain.text import shown
from chain.types import Address
from fl_node.errors import NoteInvalid
from fl_node.witness.base64 import from_base64, to_base64
from fl_node.witness.keys import is_name

MAX_NOTES_BYTES = 1 << 18
"""The longest file of notes that is read: more than a thousand signatures."""

DASH = "— "
ORIGIN = re.compile(r"ganchor/([1-9][0-9]{0,77})/(0x[0-9a-fA-F]{40})/([1-9][0-9]{0,77})")
COUNT = re.compile(r"[1-9][0-9]{0,9}")
SIGNATURE_BYTES = 64
LAST_TIME = (1 << 63) - 1


def origin_of(chain_id: int, contract: Address, task: int) -> str:
    """Whose history: the first line of a note."""
    return f"ganchor/{chain_id}/{contract}/{task}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A point of a history.

    Attributes:
        chain_id, contract, task: Whose history.
        events: How many events lead to the head, from 1.
        head: The history head after them, 32 bytes.
    """

    chain_id: int
    contract: Address
    task: int
    events: int
    head: bytes

    @property
    def origin(self) -> str:
        """Whose history, as the note's first line."""
        return origin_of(self.chain_id, self.contract, self.task)

    def __str__(self) -> str:
        return f"{self.origin}\n{self.events}\n{to_base64(self.head)}\n"


@dataclass(frozen=True, slots=True)
class Cosignature:
    """One line under a checkpoint. Whether it is genuine is for its key to say.

    Attributes:
        name, id: Whose key: its name, and 4 bytes.
        time: When it was signed, in seconds since 1970 (UTC).
        signature: 64 bytes.
    """

    name: str
    id: bytes
    time: int
    signature: bytes

    def __str__(self) -> str:
        return f"{DASH}{self.name} {to_base64(self.id + self.time.to_bytes(8, 'big') + self.signature)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A checkpoint and the cosignatures under it, one or more."""

    checkpoint: Checkpoint
    cosignatures: tuple[Cosignature, ...]

    def __str__(self) -> str:
        return f"{self.checkpoint}\n{''.join(map(str, self.cosignatures))}"


def notes_to_bytes(notes: Iterable[Note]) -> bytes:
    """Encode notes as a file of them: one for each checkpoint, in ascending order, an empty line between two."""
    by_point: dict[tuple[int, str], set[str]] = {}
    for note in notes:
        point = note.checkpoint.events, str(note.checkpoint)
        by_point.setdefault(point, set()).update(map(str, note.cosignatures))
    texts = (f"{text}\n{''.join(sorted(lines))}" for (_, text), lines in sorted(by_point.items()))
    return "\n".join(texts).encode()


def read_notes_file(path: Path) -> tuple[Note, ...]:
    """Read a file of notes.

    Raises:
        FileUnusable: It cannot be read.
        NoteInvalid: As for `read_notes`; the message names the file.
    """
    try:
        return read_notes(read_file(path, MAX_NOTES_BYTES))
    except NoteInvalid as error:
        raise NoteInvalid(f"{path}: {error}") from None


def read_notes(content: bytes) -> tuple[Note, ...]:
    """Decode a file of notes, of which each has an empty line before the next.

    Args:
        content: Anything.

    Raises:
        NoteInvalid: It is too long, or not spelt as the specification says.
    """
    if len(content) > MAX_NOTES_BYTES:
        raise NoteInvalid(f"{len(content)} bytes, at most {MAX_NOTES_BYTES} are allowed")
    try:
        parts = content.decode().split("\n\n")
        if len(parts) % 2:
            raise ValueError("expected an empty line, and signatures below it")
        notes = tuple(map(_note, parts[::2], parts[1::2]))
    except ValueError as error:
        raise NoteInvalid(f"no cosigned notes: {shown(error)}") from None
    if "\n".join(map(str, notes)).encode() != content:
        raise NoteInvalid("no cosigned notes: not spelt as the specification says")
    return notes


def _note(text: str, lines: str) -> Note:
    origin, events, head = _three(text.split("\n"))
    found = ORIGIN.fullmatch(origin)
    if found is None or not COUNT.fullmatch(events):
        raise ValueError("expected ganchor/CHAIN/CONTRACT/TASK and a number of events")
    checkpoint = Checkpoint(
        chain_id=int(found[1]),
        contract=to_address(found[2]),
        task=int(found[3]),
        events=int(events),
        head=_bytes(head, 32),
    )
    return Note(checkpoint, tuple(map(_cosignature, lines.removesuffix("\n").split("\n"))))


def _three(lines: list[str]) -> list[str]:
    if len(lines) != 3:
        raise ValueError(f"expected three lines before the signatures, got {len(lines)}")
    return lines


def _cosignature(line: str) -> Cosignature:
    name, _, encoded = line.removeprefix(DASH).partition(" ")
    if not line.startswith(DASH) or not is_name(name):
        raise ValueError(f"expected a signature's line, got {line[:100]!r}")
    content = _bytes(encoded, 4 + 8 + SIGNATURE_BYTES)
    time = int.from_bytes(content[4:12], "big")
    if time > LAST_TIME:
        raise ValueError("a time after the last one")
    return Cosignature(name, content[:4], time, content[12:])


def _bytes(text: str, length: int) -> bytes:
    content = from_base64(text)
    if len(content) != length:
        raise ValueError(f"expected {length} bytes in base64, got {len(content)}")
    return content
