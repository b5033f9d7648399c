"""Reads an app's reply. Whatever an app returns, the answer is plain values or one line that says what is wrong."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from flwr.app import ConfigRecord, Message, MetricRecord, RecordDict

from chain.text import shown
from fl_node.arrays import Array, Arrays
from fl_node.errors import GanchorError, TrainingDiverged, TrainingFailed
from fl_node.flower.inner import NOT_IMPLEMENTED

MAX_EXAMPLES = (1 << 53) - 1


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply whose form has been checked.

    Attributes:
        content: The reply's records.
        numbers: The single numbers of its MetricRecords by name; in an app made with `client_fn` also those of its
            metrics. Some may be NaN or infinite.
    """

    content: RecordDict
    numbers: Mapping[str, int | float]


@contextmanager
def one_line(asked: str, home: Path | None = None) -> Iterator[None]:
    """Turn whatever an app raises, when asked to `train` or to `evaluate`, into one line.

    Args:
        asked: What it was asked.
        home: The folder in which its code lies, to say where in it.

    Raises:
        TrainingFailed: The block raised an error that is not this project's.
    """
    try:
        yield
    except GanchorError:
        raise
    except (Exception, SystemExit) as error:
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise TrainingFailed(
            f"the Flower app's {asked} raised {shown(said)}{_where(error, home)}"
        ) from None


def _where(error: BaseException, home: Path | None) -> str:
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if home is not None and path.is_relative_to(home):
            return f" ({shown(path.relative_to(home))}, line {frame.lineno})"
    return ""


def read_reply(asked: str, reply: object) -> Reply | None:
    """Check that a reply is a message with content.

    Returns:
        None if the app says that it does not implement what it was asked.

    Raises:
        TrainingFailed: It is no message, or the message carries an error.
    """
    if not isinstance(reply, Message):
        raise TrainingFailed(
            f"the Flower app's {asked} returned {shown(type(reply).__name__)}, not a Message"
        )
    if reply.has_error():
        raise TrainingFailed(
            f"the Flower app's {asked} replied with error {shown(reply.error.code)}: "
            f"{shown(reply.error.reason)}"
        )
    content = reply.content
    status = _status(content)
    if status.get("code", 0) in NOT_IMPLEMENTED:
        return None
    if status.get("code", 0):
        raise TrainingFailed(
            f"the Flower app's {asked} replied with status {shown(status.get('code'))}: "
            f"{shown(status.get('message'))}"
        )
    return Reply(content, _numbers(content))


def examples_of(reply: Reply, key: str) -> int:
    """The number of examples behind a reply, from 1 to 2**53 - 1; a float counts if it is whole.

    Raises:
        TrainingFailed: There is none, or it is no such number.
    """
    count = reply.numbers.get(key)
    if count is None:
        raise TrainingFailed(f"the Flower app's reply has no number {key!r} in a MetricRecord")
    if not 1 <= count <= MAX_EXAMPLES or count != int(count):
        raise TrainingFailed(
            f"the Flower app's reply has {key!r} = {shown(count)}; "
            f"a whole number from 1 to {MAX_EXAMPLES} is expected"
        )
    return int(count)


def arrays_of(reply: Reply, model: Arrays, positional: bool) -> dict[str, Array]:
    """The trained tensors: names, shapes and dtypes as in `model`.

    Tensors that do not hold floating-point numbers, such as the counters of batch norm, are constants of the task: what
    an app does to them is left out, and `model` has the value.

    Args:
        reply: The reply to `train`.
        model: What the app received.
        positional: Whether the reply's first array is the model's first, whatever it is called.

    Raises:
        TrainingFailed: Not exactly one ArrayRecord, or not exactly these tensors.
        TrainingDiverged: A value is not finite.
    """
    records = list(reply.content.array_records.values())
    if len(records) != 1:
        raise TrainingFailed(
            f"the Flower app's reply has {len(records)} ArrayRecords; exactly one is expected, "
            "the trained model"
        )
    record = records[0]
    names = list(record)
    if positional and len(names) == len(model):
        names = list(model)
    _verify_names(names, model)
    trained = dict(zip(names, record.values(), strict=True))
    return {name: _checked(name, trained[name].numpy(), model[name]) for name in model}


def number(values: Mapping[str, int | float], name: str | None) -> float:
    """One of the numbers as a float, NaN if there is none of this name; too large a one is infinite."""
    value = values.get(name, np.nan) if name is not None else np.nan
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _checked(name: str, trained: Array, received: Array) -> Array:
    if (trained.shape, trained.dtype) != (received.shape, received.dtype):
        raise TrainingFailed(
            f"the Flower app's reply has tensor {shown(name)} as {trained.dtype}"
            f"{list(trained.shape)}; the model has {received.dtype}{list(received.shape)}"
        )
    if received.dtype.kind != "f":
        return received
    if not np.isfinite(trained).all():
        raise TrainingDiverged(f"the Flower app's reply: tensor {shown(name)} is no longer finite")
    return np.asarray(trained, order="C")


def _verify_names(names: list[str], model: Arrays) -> None:
    lacking = [name for name in model if name not in set(names)]
    foreign = [name for name in names if name not in model]
    if lacking or foreign or len(names) != len(model):
        wrong = f"lacks {lacking[0]!r}" if lacking else f"has {foreign[0]!r} besides"
        raise TrainingFailed(
            f"the Flower app's reply has {len(names)} tensors and {shown(wrong)}; "
            f"the model has {len(model)}, and all of them are expected by name"
        )


_STATUS: Final = ("fitres.status", "evaluateres.status")
_METRICS: Final = ("fitres.metrics", "evaluateres.metrics")


def _status(content: RecordDict) -> Mapping[str, Any]:
    for key in _STATUS:
        if isinstance(content.get(key), ConfigRecord):
            return dict(content[key])
    return {}


def _numbers(content: RecordDict) -> dict[str, int | float]:
    numbers: dict[str, int | float] = {}
    for key, record in content.items():
        if isinstance(record, MetricRecord) or key in _METRICS:
            numbers |= {
                name: value for name, value in record.items()
                if isinstance(value, int | float) and not isinstance(value, bool)
            }  # fmt: skip
    return numbers
