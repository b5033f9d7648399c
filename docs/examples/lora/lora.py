"""LoRA: a given network is frozen, and the members train and share small matrices beside its weights.

The network reads scikit-learn's digits (make_base.py trains it). The members' digits lie on their side;
`--partition iid` splits them among the members. Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR
2022, arXiv:2106.09685.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn

from fl_node.learning import TorchLearner


class Adapted(nn.Module):
    """A linear layer W x + b, frozen, plus a trained matrix of low rank: U D x."""

    def __init__(self, inputs, outputs, rank):
        super().__init__()
        self.frozen = nn.Linear(inputs, outputs).requires_grad_(False)
        self.lora_down = nn.Parameter(torch.randn(rank, inputs) / inputs**0.5)
        self.lora_up = nn.Parameter(torch.zeros(outputs, rank))

    def forward(self, x):
        return self.frozen(x) + x @ self.lora_down.T @ self.lora_up.T


class Turned(TorchLearner):
    def build(self, knobs):
        width, rank = knobs["width"], knobs["rank"]
        return nn.Sequential(Adapted(64, width, rank), nn.ReLU(), Adapted(width, 10, rank))

    def data(self, uri, knobs):
        pictures, labels = digits()
        return pictures.rot90(1, (1, 2)).flatten(1), labels

    def loss(self, model, batch):
        pictures, labels = batch
        return nn.functional.cross_entropy(model(pictures), labels)

    def measure(self, model, held_out):
        right = torch.cat([model(pictures).argmax(1) == labels for pictures, labels in held_out])
        return {"accuracy": right.float().mean().item()}


def digits():
    found = load_digits()
    return torch.tensor(found.images).float() / 16, torch.tensor(found.target)
