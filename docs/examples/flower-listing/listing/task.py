"""The data, and what training and testing a GAN are."""

from functools import cache

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader

from listing.model import LATENT

judge = nn.functional.binary_cross_entropy_with_logits


@cache
def digits():
    """All 1,797 pictures, 64 numbers from 0 to 16 each, and their classes. They come with scikit-learn."""
    return load_digits(return_X_y=True)


def load_data(partition, partitions, batch_size):
    """A site's digits, every `partitions`-th of all: a loader of four fifths to train on, and the rest."""
    pictures, _ = digits()
    x = torch.tensor(pictures[partition::partitions] / 8 - 1, dtype=torch.float32).view(-1, 1, 8, 8)
    held_out = len(x) // 5
    return DataLoader(x[held_out:], batch_size, shuffle=True, drop_last=True), x[:held_out]


def train(generator, discriminator, optimisers, loader, epochs):
    """Train both networks against each other by Adam; the mean loss of the generator."""
    of_generator, of_discriminator = optimisers
    losses = []
    for _ in range(epochs):
        for real in loader:
            fake = generator(torch.randn(len(real), LATENT, 1, 1))
            of_discriminator.zero_grad()
            scores = discriminator(real), discriminator(fake.detach())
            (
                judge(scores[0], torch.ones(len(real))) + judge(scores[1], torch.zeros(len(real)))
            ).backward()
            of_discriminator.step()
            of_generator.zero_grad()
            loss = judge(discriminator(fake), torch.ones(len(real)))
            loss.backward()
            of_generator.step()
            losses.append(loss.item())
    return sum(losses) / len(losses)


def test(generator, real):
    """How far the generator's pictures are from real ones: their energy distance, 0 for equal distributions."""
    generator.eval()
    with torch.no_grad():
        fake = generator(torch.randn(len(real), LATENT, 1, 1)).flatten(1)
    real = real.flatten(1)
    return (2 * torch.cdist(real, fake).mean() - torch.cdist(real, real).mean()
            - torch.cdist(fake, fake).mean()).item()  # fmt: skip
