"""Model blobs (docs/protocol.md, "Encodings"): the global state as one file, named by its plain sha256."""

from __future__ import annotations

from dataclasses import dataclass

from fl_node.arrays import Array, Arrays
from fl_node.blobs.digest import Blob
from fl_node.blobs.reader import Reader
from fl_node.blobs.tensors import decode_tensors, encode_tensors
from fl_node.errors import BlobMalformed


def encode_model(arrays: Arrays) -> bytes:
    """Encode a model, or a node's private state. See `encode_tensors` for the arrays that are allowed.

    Raises:
        Misuse: An array cannot be stored.
    """
    return encode_tensors(arrays)


def decode_model(blob: Blob) -> dict[str, Array]:
    """Read a model, as read-only views of `blob`.

    Raises:
        BlobMalformed: Not the output of `encode_model`.
    """
    arrays, note = decode_tensors(blob)
    if note is not None:
        raise BlobMalformed("a model blob must not have metadata; this one has some")
    return arrays


@dataclass(frozen=True, slots=True)
class Model:
    """A model and its digest: the global state's arrays, and the sha256 of their blob."""

    digest: bytes
    arrays: Arrays


def load_model(store: Reader, digest: bytes, max_bytes: int) -> Model:
    """Read a model from a store.

    Raises:
        BadData: The blob is missing, longer than `max_bytes`, altered, or not a model.
        StoreUnusable: The store cannot be read.
    """
    return Model(digest, decode_model(store.get(digest, max_bytes)))
