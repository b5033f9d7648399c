"""What a site does: move each array by a small number of its own, so that an update is no copy of another."""

import os

from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

if "GANCHOR_FLOWER" in os.environ:  # The mod is measured, too.
    from fl_node.flower.joining import anchor_mod

    app = ClientApp(mods=[anchor_mod])
else:
    app = ClientApp()


@app.train()
def train(msg: Message, context: Context) -> Message:
    """Return what came, moved."""
    move = 0.001 * (1 + context.node_config["partition-id"])
    moved = {name: Array(array.numpy() + move) for name, array in msg.content["arrays"].items()}
    metrics = MetricRecord({"train_loss": 1.0, "num-examples": 100})
    return Message(RecordDict({"arrays": ArrayRecord(moved), "metrics": metrics}), reply_to=msg)


@app.evaluate()
def evaluate(msg: Message, context: Context) -> Message:
    """Measure nothing."""
    metrics = MetricRecord({"eval_loss": 1.0, "num-examples": 100})
    return Message(RecordDict({"metrics": metrics}), reply_to=msg)
