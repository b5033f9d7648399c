"""Model blobs and update blobs (docs/protocol.md, "Encodings"): what the members exchange.

Both are ordinary safetensors files, named by their plain sha256. An update has one metadata value, which states its
task, round, client and parent, so that nobody can present it as an update of another round or client, and what the
manifest asks members to state: what they measured, and the versions of what they ran.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from chain.types import Address
from fl_node.arrays import Array, Arrays, floating
from fl_node.blobs.canonical import canonical_json, parse_json
from fl_node.blobs.digest import Blob
from fl_node.blobs.metrics import Metrics, metrics_to_json, parse_metrics
from fl_node.blobs.tensors import Schema, Spec, decode_tensors, encode_tensors, schema_of, size_of
from fl_node.errors import BlobMalformed, Misuse
from fl_node.seeds import derive_seed

UPDATE_FORMAT = 3

DISTRIBUTION: Final = re.compile(r"[a-z0-9-]{1,200}")
"""The canonical name of a distribution, such as `scikit-learn`."""

VERSION: Final = re.compile(r"[\x20-\x7e]{1,64}")
"""The version of an installed distribution: printable ASCII characters."""

LONGEST_VERSION: Final = "\\" * 64
"""The version that takes the most bytes in an update: each backslash is escaped twice."""

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class UpdateHeader:
    """What an update states about itself, to be compared with what the chain recorded.

    Attributes:
        task: The task's number on chain.
        round: The task's round.
        client: The member that made the update.
        parent_digest: sha256 of the model it was trained from, 32 bytes.
        num_examples: Number of training examples; the update's weight in the aggregate.
        steps: Optimiser steps taken, > 0.
        codec: The codecs that encode the difference, such as `float32` or `top_k+quantise`.
        seed: Determines the codecs' random choices; 0 to 2**63 - 1.
        metrics: What the client measured, by the manifest's names; empty if it names none.
        versions: Distribution to installed version, for those that the manifest requires; empty if it requires none.
    """

    task: int
    round: int
    client: Address
    parent_digest: bytes
    num_examples: int
    steps: int
    codec: str
    seed: int
    metrics: Metrics = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EncodedUpdate:
    """An update as it is sent: `arrays` is the difference after the codecs."""

    header: UpdateHeader
    arrays: Arrays


@dataclass(frozen=True, slots=True)
class Update:
    """A decoded update.

    `arrays` holds the difference, trained model minus parent, in float32, and under a prefix whatever the training
    algorithm sends with it.
    """

    header: UpdateHeader
    arrays: Arrays


def difference(trained: Arrays, parent: Arrays) -> dict[str, Array]:
    """The content of an update: trained minus parent, rounded once to float32. Constants of a model are no part of it.

    An element that float32 cannot hold is not finite.

    Raises:
        Misuse: Names, shapes or dtypes of the two differ.
    """
    if schema_of(trained) != schema_of(parent):
        raise Misuse("names, shapes or dtypes of the trained model differ from its parent's")
    with np.errstate(over="ignore", invalid="ignore"):
        return {
            name: np.asarray(np.subtract(trained[name], parent[name], dtype=np.float64), np.float32)
            for name in floating(parent)
        }


def difference_schema(model: Schema) -> dict[str, Spec]:
    """The schema of differences between models of this schema: the same shapes, in float32, without constants."""
    return {name: Spec(spec.shape, np.dtype(np.float32)) for name, spec in floating(model).items()}


def encode_update(header: UpdateHeader, arrays: Arrays) -> bytes:
    """Write an update's blob.

    Args:
        header: What the update states about itself.
        arrays: The difference after the codecs.

    Raises:
        Misuse: An array cannot be stored.
    """
    return encode_tensors(arrays, _note(header))


def decode_update(blob: Blob) -> EncodedUpdate:
    """Read an update's blob. The arrays are read-only views of it, still encoded.

    Raises:
        BlobMalformed: Not the output of `encode_update`.
    """
    arrays, note = decode_tensors(blob)
    if note is None:
        raise BlobMalformed("an update blob must have metadata; this one has none")
    return EncodedUpdate(_parse_note(note), arrays)


def encoding_seed(seed: int, round: int, client: Address) -> int:
    """The seed of the codecs' random choices in one update; it follows from the manifest's, so nobody can choose it."""
    return derive_seed(seed, "encode", round, client)


def update_size(header: UpdateHeader, encoded: Schema) -> int:
    """Size in bytes of the update blob with this header and encoded arrays of this schema.

    The chain does not record steps, metrics and versions. Given the longest that are allowed instead, the result is an
    upper bound.
    """
    return size_of(encoded, _note(header))


def _note(header: UpdateHeader) -> str:
    note: dict[str, object] = {
        "format": UPDATE_FORMAT,
        "task": header.task,
        "round": header.round,
        "client": header.client,
        "parent": header.parent_digest.hex(),
        "codec": header.codec,
        "examples": header.num_examples,
        "seed": header.seed,
        "steps": header.steps,
    }
    if header.metrics:
        note["metrics"] = metrics_to_json(header.metrics)
    if header.versions:
        note["versions"] = dict(header.versions)
    return canonical_json(note).decode()


def _parse_note(note: str) -> UpdateHeader:
    try:
        header = _header_from(parse_json(note))
    except (ValueError, KeyError, TypeError):
        raise BlobMalformed(f"not an update's metadata: {note[:200]!r}") from None
    # Comparing the whole text also checks the format number and finds unknown keys.
    if _note(header) != note:
        raise BlobMalformed(f"the update's metadata is not in canonical form: {note[:200]!r}")
    return header


def _header_from(values: Any) -> UpdateHeader:
    """Build the header. Raises ValueError, KeyError or TypeError if a value is missing or of another type."""
    counts = [values[key] for key in ("task", "round", "examples", "steps", "seed")]
    texts = [values[key] for key in ("client", "parent", "codec")]
    if any(type(count) is not int or count < 0 for count in counts):
        raise ValueError("counts must be integers >= 0")
    client, parent, codec = texts
    if not _ADDRESS.fullmatch(client) or not _DIGEST.fullmatch(parent) or type(codec) is not str:
        raise ValueError("client must be an address, parent a digest and codec a name")
    task, round_, examples, steps, seed = counts
    return UpdateHeader(
        task,
        round_,
        Address(client),
        bytes.fromhex(parent),
        examples,
        steps,
        codec,
        seed,
        parse_metrics(values.get("metrics", {})),
        _parse_versions(values.get("versions", {})),
    )


def _parse_versions(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(map(DISTRIBUTION.fullmatch, value)):
        raise ValueError("versions must have distributions' names")
    if not all(
        isinstance(version, str) and VERSION.fullmatch(version) for version in value.values()
    ):
        raise ValueError("a version must be 1 to 64 printable ASCII characters")
    return value
