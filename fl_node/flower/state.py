"""`Context.state` of a Flower app as one array of bytes, so that it survives rounds, kills and restarts. No pickle.

An app keeps records there: arrays, numbers, settings. They become one tensors blob: the bytes of each array beside a
note in canonical JSON, which lists records and values in the app's own order. For example, a counter and an optimiser's
moments give

    [["counter", "metrics", [["calls", "int", "3"]]],
     ["moments", "arrays", [["m", ["float32", [10], "numpy.ndarray", 0]]]]]

and one uint8 tensor `0` with what Flower calls the array's data.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np
from flwr.app import Array as FlowerArray
from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from fl_node.arrays import Array, Arrays
from fl_node.blobs.canonical import canonical_json, parse_json
from fl_node.blobs.tensors import decode_tensors, encode_tensors
from fl_node.errors import GanchorError, TrainingFailed

STATE: Final = "context"
"""The private array's name."""

Record = ArrayRecord | MetricRecord | ConfigRecord

_KINDS: Final[dict[str, Any]] = {
    "arrays": ArrayRecord,
    "metrics": MetricRecord,
    "config": ConfigRecord,
}
_VALUES: Final[dict[str, Callable[[Any], Any]]] = {
    "bytes": base64.b64decode,
    "bool": bool,
    "float": float.fromhex,
    "int": int,
    "text": str,
}


def kept(state: RecordDict, max_bytes: int) -> dict[str, Array]:
    """The private arrays for an app's state: none if it keeps nothing.

    Raises:
        TrainingFailed: It has more than `max_bytes` bytes, or holds what cannot be kept.
    """
    if not state:
        return {}
    data: dict[str, Array] = {}
    try:
        records = [[key, *_record(value, data)] for key, value in state.items()]
        blob = encode_tensors(data, canonical_json(records).decode())
    except (GanchorError, TypeError, ValueError) as error:
        raise TrainingFailed(f"the app's Context.state cannot be kept: {error}") from None
    if len(blob) > max_bytes:
        raise TrainingFailed(
            f"the app's Context.state has {len(blob)} bytes; at most {max_bytes} are kept"
        )
    return {STATE: np.frombuffer(blob, np.uint8)}


def restored(private: Arrays | None) -> RecordDict:
    """The app's state from the private arrays that `kept` gave; empty before the first training.

    Raises:
        TrainingFailed: The bytes are not those of a state.
    """
    if private is None or STATE not in private:
        return RecordDict()
    try:
        data, note = decode_tensors(private[STATE].tobytes())
        records = parse_json(note or "")
        return RecordDict({key: _from_record(kind, items, data) for key, kind, items in records})
    except (GanchorError, TypeError, ValueError, KeyError, IndexError) as error:
        raise TrainingFailed(f"the kept Context.state cannot be read: {error}") from None


def _record(record: Record, data: dict[str, Array]) -> tuple[str, list[Any]]:
    if isinstance(record, ArrayRecord):
        return "arrays", [[name, _array(array, data)] for name, array in record.items()]
    kind = "metrics" if isinstance(record, MetricRecord) else "config"
    return kind, [[name, _value(value)] for name, value in record.items()]


def _array(array: FlowerArray, data: dict[str, Array]) -> list[Any]:
    place = None
    if array.data:  # A tensor without elements cannot be stored.
        place = len(data)
        data[str(place)] = np.frombuffer(array.data, np.uint8)
    return [array.dtype, list(array.shape), array.stype, place]


def _value(value: Any) -> list[Any]:
    if isinstance(value, list):
        return ["list", [_value(item) for item in value]]
    if isinstance(value, bytes):
        return ["bytes", base64.b64encode(value).decode()]
    if isinstance(value, bool):
        return ["bool", value]
    if isinstance(value, float):
        return ["float", float(value).hex()]
    return ["int", str(int(value))] if isinstance(value, int) else ["text", str(value)]


def _from_record(kind: str, items: list[Any], data: Arrays) -> Record:
    read = partial(_from_array, data) if kind == "arrays" else _from_value
    record: Record = _KINDS[kind]({name: read(written) for name, written in items})
    return record


def _from_array(data: Arrays, written: list[Any]) -> FlowerArray:
    dtype, shape, stype, place = written
    content = b"" if place is None else data[str(place)].tobytes()
    return FlowerArray(dtype, tuple(shape), stype, content)


def _from_value(written: list[Any]) -> Any:
    kind, value = written
    return [_from_value(item) for item in value] if kind == "list" else _VALUES[kind](value)
