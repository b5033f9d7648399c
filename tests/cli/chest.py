"""A learner of one's own, as small as it can be: it fits a line."""

import torch
from torch import nn

from fl_node.learning import TorchLearner


class Chest(TorchLearner):
    def build(self, knobs):
        return nn.Linear(2, knobs.get("width", 1))

    def data(self, uri, knobs):
        start = float(uri or 0)
        x = torch.arange(40.0).reshape(20, 2) / 40 + start
        return x, x.sum(1, keepdim=True)

    def loss(self, model, batch):
        x, y = batch
        return ((model(x) - y) ** 2).mean()

    def measure(self, model, held_out):
        print("somebody's code may print what it likes")
        errors = [(model(x) - y).abs().mean() for x, y in held_out]
        return {"error": float(torch.stack(errors).mean())}


def small():
    return nn.Linear(2, 1)
