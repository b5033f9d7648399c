"""Adds a step to every weight; the mod is the only line for the ledger."""

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from fl_node.flower.joining import anchor_mod

app = ClientApp(mods=[anchor_mod])


@app.train()
def train(message: Message, context: Context) -> Message:
    step = np.float32(0.25 * (1 + int(context.node_config["partition-id"])) ** 2)
    received = message.content["arrays"]
    moved = ArrayRecord({name: Array(array.numpy() + step) for name, array in received.items()})
    metrics = MetricRecord({"num-examples": 10, "train_loss": 0.5})
    return Message(RecordDict({"arrays": moved, "metrics": metrics}), reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    mean = np.mean([array.numpy().mean() for array in message.content["arrays"].values()])
    metrics = MetricRecord({"num-examples": 10, "eval_loss": float(mean)})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)
