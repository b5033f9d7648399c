"""Model blobs and update blobs (docs/protocol.md, "Encodings"): what the members exchange.

Both are safetensors files that any tool opens, named by their plain sha256. An update says in its
one metadata value which task, round, client and parent it belongs to, so that it cannot pass for
another's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from chain.types import Address
from fl_node.arrays import Array, Arrays
from fl_node.canonical import canonical_json, parse_json
from fl_node.errors import BlobMalformed, Misuse
from fl_node.tensors import Blob, Schema, Spec, decode_tensors, encode_tensors, schema_of, size_of

UPDATE_FORMAT = 1

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class UpdateHeader:
    """What an update says of itself, and the chain of it.

    Attributes:
        task: The task's number on chain.
        round: The task's round.
        client: Who made it.
        parent_digest: sha256 of the model it was trained from, 32 bytes.
        num_examples: Examples trained on; its weight in the aggregate.
        codec: How the difference is encoded; a name in `CODECS`.
    """

    task: int
    round: int
    client: Address
    parent_digest: bytes
    num_examples: int
    codec: str = "float32"


@dataclass(frozen=True, slots=True)
class Update:
    """A decoded update. `arrays` is the difference, trained model minus parent, in float32."""

    header: UpdateHeader
    arrays: Arrays


@dataclass(frozen=True, slots=True)
class Codec:
    """One way for a difference to travel.

    Attributes:
        encode: From the float32 difference to the arrays in the blob.
        decode: And back. Raises `BlobMalformed`.
        schema: From the difference's schema to that of the arrays in the blob.
    """

    encode: Callable[[Arrays], Arrays]
    decode: Callable[[Arrays], Arrays]
    schema: Callable[[Schema], Schema]


def _arrays_as_they_are(arrays: Arrays) -> Arrays:
    return arrays


def _schema_as_it_is(schema: Schema) -> Schema:
    return schema


CODECS: Mapping[str, Codec] = {
    "float32": Codec(_arrays_as_they_are, _arrays_as_they_are, _schema_as_it_is),
}
"""The choices for `strategy.encode` in a manifest."""


def digest_of(blob: Blob) -> bytes:
    """The name of a blob: its sha256, 32 bytes."""
    return hashlib.sha256(blob).digest()


def encode_model(arrays: Arrays) -> bytes:
    """Encode a model, or a node's private state. See `encode_tensors` for what arrays may be.

    Raises:
        Misuse: An array cannot be stored.
    """
    return encode_tensors(arrays)


def decode_model(blob: Blob) -> dict[str, Array]:
    """Read a model back, as read-only views of `blob`.

    Raises:
        BlobMalformed: Not what `encode_model` writes.
    """
    arrays, note = decode_tensors(blob)
    if note is not None:
        raise BlobMalformed("a model blob has no metadata, this one does")
    return arrays


def difference(trained: Arrays, parent: Arrays) -> dict[str, Array]:
    """The content of an update: trained minus parent, rounded once to float32.

    Raises:
        Misuse: Names, shapes or dtypes of the two differ.
    """
    if schema_of(trained) != schema_of(parent):
        raise Misuse("the trained model has other names, shapes or dtypes than its parent")
    return {
        name: np.asarray(np.subtract(trained[name], parent[name], dtype=np.float64), np.float32)
        for name in parent
    }


def difference_schema(model: Schema) -> Schema:
    """What differences between models of this schema look like: the same, in float32."""
    return {name: Spec(spec.shape, np.dtype(np.float32)) for name, spec in model.items()}


def encode_update(header: UpdateHeader, arrays: Arrays) -> bytes:
    """Encode an update.

    Args:
        header: What the chain will record of it too.
        arrays: The `difference`.

    Raises:
        Misuse: An array cannot be stored.
    """
    return encode_tensors(CODECS[header.codec].encode(arrays), _note(header))


def decode_update(blob: Blob) -> Update:
    """Read an update back. With the codec "float32" its arrays are read-only views of `blob`.

    Raises:
        BlobMalformed: Not what `encode_update` writes.
    """
    arrays, note = decode_tensors(blob)
    if note is None:
        raise BlobMalformed("an update blob has metadata, this one does not")
    header = _parse_note(note)
    return Update(header, CODECS[header.codec].decode(arrays))


def update_size(header: UpdateHeader, model: Schema) -> int:
    """Bytes of the update blob with this header over a model of this schema.

    The chain tells the header before the blob is read: no reader need accept one byte more.
    """
    return size_of(CODECS[header.codec].schema(difference_schema(model)), _note(header))


def _note(header: UpdateHeader) -> str:
    note = {
        "format": UPDATE_FORMAT,
        "task": header.task,
        "round": header.round,
        "client": header.client,
        "parent": header.parent_digest.hex(),
        "codec": header.codec,
        "examples": header.num_examples,
    }
    return canonical_json(note).decode()


def _parse_note(note: str) -> UpdateHeader:
    try:
        header = _header_from(parse_json(note))
    except (ValueError, KeyError, TypeError):
        raise BlobMalformed(f"not an update's metadata: {note[:200]!r}") from None
    # Comparing the whole text also settles the format, and unknown and repeated keys.
    if _note(header) != note:
        raise BlobMalformed(f"the update's metadata is not in canonical form: {note[:200]!r}")
    return header


def _header_from(values: Any) -> UpdateHeader:
    """Raises ValueError, KeyError or TypeError where a value is missing or of another kind."""
    counts = [values[key] for key in ("task", "round", "examples")]
    texts = [values[key] for key in ("client", "parent", "codec")]
    if any(type(count) is not int or count < 0 for count in counts):
        raise ValueError("counts are integers from 0")
    client, parent, codec = texts
    if not _ADDRESS.fullmatch(client) or not _DIGEST.fullmatch(parent) or codec not in CODECS:
        raise ValueError("client is an address, parent a digest, codec one of the known")
    task, round_, examples = counts
    return UpdateHeader(task, round_, Address(client), bytes.fromhex(parent), examples, codec)
