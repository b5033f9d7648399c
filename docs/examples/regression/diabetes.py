"""How far diabetes progresses in a year, from ten measurements of a patient: a regression, and no picture anywhere.

The data is scikit-learn's table of 442 patients, which `--partition iid` splits among the members. A hospital would
read its own table, from what it gives as `--data`.
"""

import torch
from sklearn.datasets import load_diabetes
from torch import nn

from fl_node.learning import TorchLearner

MEAN, DEVIATION = 152.0, 77.0
"""Of the progression, so that a network need not learn them. The members agree on these two numbers beforehand."""


class Diabetes(TorchLearner):
    def build(self, knobs):
        width = knobs["width"]
        return nn.Sequential(nn.Linear(10, width), nn.SiLU(), nn.Linear(width, 1), nn.Flatten(0))

    def data(self, uri, knobs):
        patients, progression = load_diabetes(return_X_y=True)
        inputs = (
            20 * torch.tensor(patients).float()
        )  # each column of the table has a deviation of 1/21
        return inputs, (torch.tensor(progression).float() - MEAN) / DEVIATION

    def loss(self, model, batch):
        inputs, targets = batch
        return nn.functional.mse_loss(model(inputs), targets)

    def measure(self, model, held_out):
        targets = torch.cat([targets for _, targets in held_out])
        errors = torch.cat([model(inputs) for inputs, _ in held_out]) - targets
        explained = 1 - errors.square().mean() / targets.var(correction=0)
        return {"mae": DEVIATION * errors.abs().mean().item(), "r2": explained.item()}
