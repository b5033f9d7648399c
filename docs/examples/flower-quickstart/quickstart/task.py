"""The network, the data, and what training and testing are."""

from functools import cache

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    """Two convolutions and two linear layers for pictures of 8 x 8 pixels."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.classes = nn.Sequential(nn.Flatten(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))

    def forward(self, pictures):
        return self.classes(self.features(pictures))


@cache
def digits():
    """All 1,797 pictures, 64 numbers from 0 to 16 each, and their classes. They come with scikit-learn."""
    return load_digits(return_X_y=True)


def load_data(partition, partitions, batch_size):
    """A site's digits, every `partitions`-th of all: a loader of four fifths to train on, and one of the rest."""
    pictures, labels = digits()
    x = torch.tensor(pictures[partition::partitions] / 16, dtype=torch.float32).view(-1, 1, 8, 8)
    y = torch.tensor(labels[partition::partitions])
    held_out = len(x) // 5
    training = TensorDataset(x[held_out:], y[held_out:])
    return (
        DataLoader(training, batch_size, shuffle=True),
        DataLoader(TensorDataset(x[:held_out], y[:held_out]), batch_size),
    )


def train(net, loader, epochs, rate):
    """Train by SGD; the mean loss over all batches."""
    optimiser = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
    losses = []
    net.train()
    for _ in range(epochs):
        for pictures, labels in loader:
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(net(pictures), labels)
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
    return sum(losses) / len(losses)


def test(net, loader):
    """The mean loss of a batch, and the share of pictures whose class the network finds."""
    net.eval()
    losses, right = [], 0
    with torch.no_grad():
        for pictures, labels in loader:
            scores = net(pictures)
            losses.append(nn.functional.cross_entropy(scores, labels).item())
            right += (scores.argmax(dim=1) == labels).sum().item()
    return sum(losses) / len(losses), right / len(loader.dataset)
