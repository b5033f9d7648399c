"""What the mod and the strategy tell each other, as records in Flower's messages; and arrays in both directions.

A node's reply to a train message has, beside the app's own records, a ConfigRecord under `ganchor`:

    {"address": "0xB4...", "digest": "9f2c...", "round": 3}

The messages after the aggregation have one, too:

    {"digest": "77e0...", "included": "7", "round": 3, "only": false}

and the message to a node that the server does not ask to train in a round, `{"decline": 3}`.

Numbers that may exceed 64 bits, such as a bitmap of 96 members, are hexadecimal text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NoReturn

from flwr.app import Array as FlowerArray
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict

from chain.text import shown
from chain.types import MAX_MEMBERS, Address
from fl_node.arrays import Array, Arrays
from fl_node.errors import BlobMalformed

KEY: Final = "ganchor"
"""The key of the project's records in a message."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_BITMAP = re.compile(rf"[0-9a-f]{{1,{MAX_MEMBERS // 4}}}")


@dataclass(frozen=True, slots=True)
class Anchor:
    """Which update a node's reply stands for: what the node revealed on chain.

    Attributes:
        address: The member's address on chain; a node's number in Flower changes with every start.
        digest: sha256 of the update's blob, 32 bytes.
        round: The task's round on chain, which need not be the server's count.
    """

    address: Address
    digest: bytes
    round: int


@dataclass(frozen=True, slots=True)
class Announcement:
    """What the server says that a round came to.

    Attributes:
        round: The task's round on chain.
        digest: sha256 of the next model's blob, 32 bytes.
        included: Bitmap of the members whose updates are in it.
        only: Whether the message asks for nothing but an attestation: the app is not called.
    """

    round: int
    digest: bytes
    included: int
    only: bool = False


@dataclass(frozen=True, slots=True)
class Decline:
    """The server does not ask this node to train: its member declines the round, so that nobody waits for it.

    Attributes:
        round: The task's round on chain.
    """

    round: int


def anchor_record(anchor: Anchor) -> ConfigRecord:
    """The record in a node's reply."""
    return ConfigRecord(
        {"address": anchor.address, "digest": anchor.digest.hex(), "round": anchor.round}
    )


def read_anchor(content: RecordDict) -> Anchor:
    """Read what a reply says about itself. Whether it is true, the chain says.

    Raises:
        BlobMalformed: There is no such record, or a value of another form.
    """
    record = _record(content)
    return Anchor(Address(_text(record, "address")), _digest(record), _round(record))


def announcement_record(announcement: Announcement) -> ConfigRecord:
    """The record in a message to a node."""
    return ConfigRecord(
        {
            "digest": announcement.digest.hex(),
            "included": f"{announcement.included:x}",
            "round": announcement.round,
            "only": announcement.only,
        }
    )


def decline_record(decline: Decline) -> ConfigRecord:
    """The record in a message to a node that does not train."""
    return ConfigRecord({"decline": decline.round})


def read_request(content: RecordDict) -> Announcement | Decline | None:
    """Read what the server wants of the member; None if it wants nothing.

    Raises:
        BlobMalformed: A value has another form.
    """
    if KEY not in content:
        return None
    record = _record(content)
    if "decline" in record:
        return Decline(_round(record, "decline"))
    included, only = _text(record, "included"), record.get("only")
    if not _BITMAP.fullmatch(included) or not isinstance(only, bool):
        _refuse(record)
    return Announcement(_round(record), _digest(record), int(included, 16), only)


def received_arrays(content: RecordDict) -> dict[str, Array]:
    """The arrays of a message's only ArrayRecord.

    Raises:
        BlobMalformed: Not exactly one ArrayRecord, or an array that cannot be read.
    """
    records = list(content.array_records.values())
    if len(records) != 1:
        raise BlobMalformed(f"the message has {len(records)} ArrayRecords; one model is expected")
    try:
        return {name: array.numpy() for name, array in records[0].items()}
    except (ValueError, TypeError, EOFError, MemoryError) as error:
        raise BlobMalformed(f"the message's arrays cannot be read: {shown(error)}") from None


def array_record(arrays: Arrays, order: Iterable[str]) -> ArrayRecord:
    """Arrays as a record, in an order of names: some apps know their tensors by position."""
    return ArrayRecord({name: FlowerArray(arrays[name]) for name in order})


def reason_of(message: Message) -> str:
    """Why a reply has no content, in one line."""
    return shown(message.error.reason or f"error {message.error.code}")


def _record(content: RecordDict) -> ConfigRecord:
    record = content.get(KEY)
    if not isinstance(record, ConfigRecord):
        raise BlobMalformed(f"the message has no settings under {KEY!r}: is anchor_mod in its app?")
    return record


def _text(record: ConfigRecord, name: str) -> str:
    value = record.get(name)
    return value if isinstance(value, str) else _refuse(record)


def _digest(record: ConfigRecord) -> bytes:
    text = _text(record, "digest")
    return bytes.fromhex(text) if _DIGEST.fullmatch(text) else _refuse(record)


def _round(record: ConfigRecord, name: str = "round") -> int:
    value = record.get(name)
    return value if type(value) is int and value > 0 else _refuse(record)


def _refuse(record: ConfigRecord) -> NoReturn:
    raise BlobMalformed(f"not what a message says under {KEY!r}: {shown(dict(record))}")
