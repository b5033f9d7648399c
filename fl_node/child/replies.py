"""What the child answers; the parent believes none of it: names, shapes, dtypes, ranges and sizes are checked here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, NoReturn

import numpy as np

from chain.text import shown
from fl_node.arrays import Array, Arrays
from fl_node.blobs.tensors import Schema, schema_of
from fl_node.child.frames import Message
from fl_node.errors import TrainingFailed
from fl_node.learner import Assignment, Measured, Trained

MAX_COUNT: Final = (1 << 53) - 1
"""The most examples or steps; JSON numbers are exact up to here everywhere."""
MAX_TEXT: Final = 2000
"""The most characters of an error's text."""
MAX_NUMBERS, MAX_NAME = 64, 200
"""The most named losses or metrics, and the longest name."""


class Progress(NamedTuple):
    """How far a training is."""

    step: int
    steps: int
    losses: dict[str, float]


class Failed(NamedTuple):
    """Why a call failed: the name of the error's class, and its text."""

    error: str
    why: str


def progress_reply(step: int, steps: int, losses: Mapping[str, float]) -> Message:
    """Said during a training."""
    return Message({"progress": [int(step), int(steps)], "losses": _spelled(losses)})


def failed_reply(error: str, why: str) -> Message:
    """Said instead of an answer."""
    return Message({"failed": error, "why": why[:MAX_TEXT].encode(errors="replace").decode()})


def opened_reply() -> Message:
    """The answer to `open_request`."""
    return Message({"done": {}})


def genesis_reply(arrays: Arrays) -> Message:
    """The answer to `genesis_request`."""
    return Message({"done": {}}, {"genesis": arrays})


def steps_reply(steps: int) -> Message:
    """The answer to `steps_request`."""
    return Message({"done": {"steps": int(steps)}})


def measured_reply(measured: Measured) -> Message:
    """The answer to `measure_request`."""
    return Message(
        {"done": {"loss": float(measured.loss).hex(), "metrics": _spelled(measured.metrics)}}
    )


def trained_reply(trained: Trained) -> Message:
    """The answer to `train_request`."""
    done = {
        "num_examples": int(trained.num_examples),
        "steps": int(trained.steps),
        "training_loss": float(trained.training_loss).hex(),
        "metrics": _spelled(trained.metrics),
    }
    gradient = {} if trained.mean_gradient is None else {"mean_gradient": trained.mean_gradient}
    return Message(
        {"done": done}, {"shared": trained.shared, "private": trained.private, **gradient}
    )


def interim(reply: Message) -> Progress | Failed | None:
    """What the reply says if it is not the answer.

    Raises:
        TrainingFailed: It says neither that nor an answer.
    """
    says = reply.says
    if says.keys() == {"progress", "losses"}:
        pair = says["progress"]
        if not isinstance(pair, list) or len(pair) != 2:
            _refuse("progress", pair)
        step, steps = (_count(number, "progress") for number in pair)
        return Progress(step, steps, _numbers(says["losses"], "losses"))
    if says.keys() == {"failed", "why"}:
        return Failed(shown(says["failed"], 40), shown(says["why"], MAX_TEXT))
    if says.keys() != {"done"} or not isinstance(says["done"], dict):
        _refuse("an answer", dict(says))
    return None


def steps_of(reply: Message) -> int:
    """The number of steps.

    Raises:
        TrainingFailed: It is no number from 1 to `MAX_COUNT`.
    """
    return _count(reply.says["done"].get("steps"), "steps")


def measured_of(reply: Message) -> Measured:
    """The loss and the metrics.

    Raises:
        TrainingFailed: The loss is not finite, or something is malformed.
    """
    done = reply.says["done"]
    return Measured(_finite(done.get("loss"), "loss"), _numbers(done.get("metrics"), "metrics"))


def trained_of(
    reply: Message, assignment: Assignment, max_private: int, versions: Mapping[str, str]
) -> Trained:
    """The result of a training.

    Args:
        reply: What the child answered.
        assignment: What it was asked.
        max_private: The most bytes of the private arrays.
        versions: What the update is to state.

    Raises:
        TrainingFailed: Names, shapes or dtypes are not those of the model, a value is not finite, the private arrays
            are too large, or a number is out of its range.
    """
    done, groups = reply.says["done"], reply.groups
    gradient = None
    if assignment.correction is not None:
        gradient = _like(assignment.model, groups.get("mean_gradient", {}), "mean gradient")
    return Trained(
        shared=_like(assignment.model, groups.get("shared", {}), "model"),
        private=_private(groups.get("private", {}), max_private),
        num_examples=_count(done.get("num_examples"), "number of examples"),
        steps=_count(done.get("steps"), "number of steps"),
        training_loss=_finite(done.get("training_loss"), "training loss"),
        mean_gradient=gradient,
        metrics=_numbers(done.get("metrics"), "metrics"),
        versions=dict(versions),
    )


def genesis_of(reply: Message) -> dict[str, Array]:
    """The model that a task is to start from.

    Raises:
        TrainingFailed: It has no tensors, or a value is not finite.
    """
    arrays = dict(reply.groups.get("genesis", {}))
    if not arrays:
        raise TrainingFailed("the task's code gave a model without tensors")
    _verify_names(arrays)
    _verify_finite(arrays, "model")
    return arrays


def _like(model: Arrays, returned: Arrays, what: str) -> dict[str, Array]:
    """The returned arrays, in the order of the model."""
    expected, actual = schema_of(model), schema_of(returned)
    if expected != actual:
        raise TrainingFailed(f"the task's code returned a {what} {_difference(expected, actual)}")
    _verify_finite(returned, what)
    return {name: returned[name] for name in model}


def _difference(expected: Schema, actual: Schema) -> str:
    if missing := sorted(expected.keys() - actual.keys()):
        return f"without '{shown(missing[0], MAX_NAME)}'"
    if more := sorted(actual.keys() - expected.keys()):
        return f"with '{shown(more[0], MAX_NAME)}', which was not asked for"
    name = min(name for name in expected if expected[name] != actual[name])
    wanted, given = expected[name], actual[name]
    return (
        f"whose '{shown(name, MAX_NAME)}' is {given.dtype} {given.shape}; "
        f"expected {wanted.dtype} {wanted.shape}"
    )


def _verify_finite(arrays: Arrays, what: str) -> None:
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise TrainingFailed(
                f"the task's code returned a {what} whose '{shown(name, MAX_NAME)}' is not finite"
            )


def _private(arrays: Arrays, max_bytes: int) -> dict[str, Array]:
    size = sum(array.nbytes for array in arrays.values())
    if size > max_bytes:
        raise TrainingFailed(
            f"the task's code keeps {size} bytes of its own; at most {max_bytes} are allowed"
        )
    _verify_names(arrays)
    return dict(arrays)


def _verify_names(arrays: Arrays) -> None:
    for name in arrays:
        if not name.isprintable() or not 0 < len(name) <= MAX_NAME:
            raise TrainingFailed(
                f"the task's code returned an array with the name '{shown(name, MAX_NAME)}'"
            )


def _count(value: object, what: str) -> int:
    if type(value) is not int or not 0 < value <= MAX_COUNT:
        _refuse(what, value)
    return value


def _numbers(value: object, what: str) -> dict[str, float]:
    if not isinstance(value, dict) or len(value) > MAX_NUMBERS:
        _refuse(what, value)
    for name in value:
        if not name.isprintable() or len(name) > MAX_NAME:
            _refuse(f"name in its {what}", name)
    return {name: _float(number, what) for name, number in value.items()}


def _finite(value: object, what: str) -> float:
    number = _float(value, what)
    if not math.isfinite(number):
        _refuse(what, number)
    return number


def _float(value: object, what: str) -> float:
    if not isinstance(value, str) or len(value) > 40:
        _refuse(what, value)
    try:
        return float.fromhex(value)
    except (ValueError, OverflowError):
        _refuse(what, value)


def _spelled(numbers: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): float(number).hex() for name, number in numbers.items()}


def _refuse(what: str, value: object) -> NoReturn:
    raise TrainingFailed(f"the task's code returned as {what}: {shown(repr(value), 100)}")
