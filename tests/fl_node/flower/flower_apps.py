"""Small Flower apps for the tests: their whole model is one tensor `w`, and training adds 1 to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from flwr.app import Array as FlowerArray
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from fl_node.arrays import Array, Arrays
from fl_node.child.setup import Setup
from fl_node.flower.app import Config
from fl_node.flower.learner import FlowerAppLearner
from fl_node.learner import Assignment

MODEL: dict[str, Array] = {"w": np.zeros((2, 3), np.float32)}
Answer = Callable[[Message, Context], Any]


def record(arrays: Arrays) -> ArrayRecord:
    return ArrayRecord({name: FlowerArray(np.asarray(array)) for name, array in arrays.items()})


def reply_to(message: Message, arrays: Arrays | None = None, **numbers: Any) -> Message:
    """A reply with these arrays and numbers; `_` in a number's name stands for `-`."""
    content = RecordDict()
    if arrays is not None:
        content["arrays"] = record(arrays)
    if numbers:
        content["metrics"] = MetricRecord({k.replace("_", "-"): v for k, v in numbers.items()})
    return Message(content, reply_to=message)


def received(message: Message) -> dict[str, Array]:
    return {name: array.numpy() for name, array in message.content.array_records["arrays"].items()}


def adds_one(message: Message, context: Context) -> Message:
    return reply_to(message, {n: a + 1 for n, a in received(message).items()}, num_examples=10)


def app_with(train: Answer | None = adds_one, evaluate: Answer | None = None) -> ClientApp:
    app = ClientApp()
    if train:
        app.train()(train)
    if evaluate:
        app.evaluate()(evaluate)
    return app


def learner_of(
    app: ClientApp,
    model: Arrays = MODEL,
    run: Config | None = None,
    node: Config | None = None,
    **setup: Any,
) -> FlowerAppLearner:
    told = Setup(kind="flower", entry="tests:app", seed=7, **setup)
    return FlowerAppLearner(app, told, model, run or {}, node or {})


def assignment(model: Arrays = MODEL, private: Arrays | None = None, **rest: Any) -> Assignment:
    return Assignment(model, private, seed=rest.pop("seed", 5), steps=1, **rest)
