"""Named arrays as one safetensors file, with exactly one encoding (docs/protocol.md, "Encodings").

Writing gives the same bytes as the safetensors library. Reading is stricter: the header is rebuilt from the parsed
values and compared with the original, so that each set of arrays has exactly one file, without gaps, trailing bytes,
another order or repeated keys. Reading copies nothing: the arrays are read-only views of the buffer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

import numpy as np

from fl_node.arrays import Array, Arrays
from fl_node.blobs.canonical import parse_json
from fl_node.blobs.digest import Blob
from fl_node.errors import BlobMalformed, Misuse

MAX_HEADER_BYTES = 1 << 22
MAX_DIMENSIONS = 16

# The order of tensors in the file: widest dtype first, so that each tensor is aligned.
_DTYPES: dict[str, np.dtype[Any]] = {
    "I64": np.dtype("<i8"),
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "I32": np.dtype("<i4"),
    "F16": np.dtype("<f2"),
    "U8": np.dtype("u1"),
}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}
_RANKS = {dtype: rank for rank, dtype in enumerate(_CODES)}

_METADATA = "__metadata__"
_NOTE = "ganchor"


class Spec(NamedTuple):
    """A tensor's shape and dtype."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


Schema = Mapping[str, Spec]
"""Tensor name to shape and dtype."""


def schema_of(arrays: Arrays) -> Schema:
    """Names, shapes and dtypes of the arrays."""
    return {name: Spec(array.shape, array.dtype) for name, array in arrays.items()}


def encode_tensors(arrays: Arrays, note: str | None = None) -> bytes:
    """Write arrays, and optionally one text, as the bytes of a safetensors file.

    Args:
        arrays: Each with at least one element; float16, float32, float64, int32, int64 or uint8.
        note: Becomes the only metadata value, under the key "ganchor". There is only one because the library writes
            several metadata keys in random order.

    Raises:
        Misuse: A tensor cannot be stored, or there are too many.
    """
    return b"".join(pieces_of(arrays, note))


def pieces_of(arrays: Arrays, note: str | None = None) -> list[Blob]:
    """The file of `encode_tensors` in pieces, which can be written one by one without copying the arrays.

    Raises:
        Misuse: As `encode_tensors`.
    """
    schema = schema_of(arrays)
    for name, spec in schema.items():
        _verify_storable(name, spec)
    head = _head(schema, note)
    if len(head) > 8 + MAX_HEADER_BYTES:
        raise Misuse(
            f"the header has {len(head) - 8} bytes; at most {MAX_HEADER_BYTES} are allowed"
        )
    return [head, *(_bytes_of(arrays[name]) for name in _in_order(schema))]


def decode_tensors(blob: Blob) -> tuple[dict[str, Array], str | None]:
    """Read the arrays, as read-only views of `blob`, and the text, None if there is none.

    Raises:
        BlobMalformed: Not the output of `encode_tensors`.
    """
    view = memoryview(blob).toreadonly().cast("B")
    schema, note, start = _parse_head(view)
    arrays = {}
    for name in _in_order(schema):
        shape, dtype = schema[name]
        arrays[name] = np.frombuffer(view, dtype, math.prod(shape), start).reshape(shape)
        start += _nbytes(schema[name])
    return arrays, note


def size_of(schema: Schema, note: str | None = None) -> int:
    """Size in bytes of the file that `encode_tensors` writes for arrays of this schema."""
    return len(_head(schema, note)) + sum(map(_nbytes, schema.values()))


def payload_of(blob: Blob) -> memoryview:
    """The tensors' bytes of a blob, without its header. The blob must have been decoded before."""
    view = memoryview(blob)
    return view[8 + int.from_bytes(view[:8], "little") :]


def _head(schema: Schema, note: str | None) -> bytes:
    """The only valid beginning of a file with this content: length of the JSON, the JSON, padding to 8 bytes."""
    entries: dict[str, Any] = {} if note is None else {_METADATA: {_NOTE: note}}
    end = 0
    for name in _in_order(schema):
        start, end = end, end + _nbytes(schema[name])
        shape, dtype = schema[name]
        entries[name] = {"dtype": _CODES[dtype], "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _in_order(schema: Schema) -> list[str]:
    return sorted(schema, key=lambda name: (_RANKS[schema[name].dtype], name))


def _nbytes(spec: Spec) -> int:
    return math.prod(spec.shape) * spec.dtype.itemsize


def _bytes_of(array: Array) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _verify_storable(name: str, spec: Spec) -> None:
    sizes_fit = len(spec.shape) <= MAX_DIMENSIONS and math.prod(spec.shape) > 0
    if spec.dtype not in _CODES or not sizes_fit or name == _METADATA:
        raise Misuse(
            f"tensor {name!r} of dtype {spec.dtype} and shape {spec.shape} cannot be stored"
        )


def _parse_head(view: memoryview) -> tuple[Schema, str | None, int]:
    """Read the header: schema, note, and where the tensors start."""
    head = _bounded_head(view)
    try:
        entries = parse_json(head[8:].decode())
        note = _take_note(entries)
        schema = {name: _parse_spec(name, entry) for name, entry in entries.items()}
        canonical = _head(schema, note)
    except ValueError as error:  # covers errors of JSON and of UTF-8
        raise BlobMalformed(f"the header cannot be read: {error}") from None
    if canonical != head:
        raise BlobMalformed("the header is not in canonical form")
    size = len(head) + sum(map(_nbytes, schema.values()))
    if size != len(view):
        raise BlobMalformed(f"the header describes {size} bytes, the blob has {len(view)}")
    return schema, note, len(head)


def _bounded_head(view: memoryview) -> bytes:
    length = int.from_bytes(view[:8], "little")
    if len(view) < 8 + length or length > MAX_HEADER_BYTES:
        raise BlobMalformed(
            f"the blob has {len(view)} bytes and a header of {length}; "
            f"at most {MAX_HEADER_BYTES} are allowed for a header"
        )
    return bytes(view[: 8 + length])


def _take_note(entries: Any) -> str | None:
    """Remove the note from the header's entries and return it; the remaining entries are tensors."""
    if not isinstance(entries, dict):
        _refuse("header", entries)
    if _METADATA not in entries:
        return None
    metadata = entries.pop(_METADATA)
    if not isinstance(metadata, dict) or not isinstance(metadata.get(_NOTE), str):
        _refuse(f"metadata, expected one text under {_NOTE!r}, got", metadata)
    return str(metadata[_NOTE])


def _parse_spec(name: str, entry: Any) -> Spec:
    if not isinstance(entry, dict):
        _refuse(f"entry of tensor {name!r}", entry)
    code, shape = entry.get("dtype"), entry.get("shape")
    if not isinstance(code, str) or code not in _DTYPES:
        _refuse(f"dtype of tensor {name!r}, expected one of {', '.join(_DTYPES)}, got", code)
    if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS or not all(map(_is_size, shape)):
        _refuse(f"shape of tensor {name!r}", shape)
    return Spec(tuple(shape), _DTYPES[code])


def _is_size(value: object) -> bool:
    return type(value) is int and value > 0


def _refuse(what: str, value: object) -> NoReturn:
    shown = repr(value)
    raise BlobMalformed(f"malformed {what} {shown if len(shown) <= 80 else shown[:80] + '...'}")
