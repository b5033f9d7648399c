"""The GAN's two networks, for pictures of 32x32 and 64x64; with `classes`, both are conditioned on a picture's class.

Suffixes name shapes, in this whole package: N pictures, Z latent, C channels, H height, W width. x_NCHW is in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fl_node.learning.gan import dcgan, residual
from fl_node.learning.gan.options import GanOptions, Network

Layers = Callable[[GanOptions], tuple[nn.Sequential, Any]]
"""Options -> a network's hidden blocks and its last layer."""

GENERATORS: Mapping[Network, Layers] = {
    "dcgan": dcgan.generator_layers,
    "residual": residual.generator_layers,
}
DISCRIMINATORS: Mapping[Network, Layers] = {
    "dcgan": dcgan.discriminator_layers,
    "residual": residual.discriminator_layers,
}


class Generator(nn.Module):
    """z_NZ, and the classes if there are any -> x_NCHW.

    A class is a learnt vector beside z, of the same length, as in conditional GANs (Mirza and Osindero 2014,
    arXiv:1411.1784).
    """

    def __init__(self, options: GanOptions) -> None:
        super().__init__()
        self.blocks, self.to_picture = GENERATORS[options.network](options)
        if options.classes:
            self.embedding = nn.Embedding(options.classes, options.latent)

    def forward(self, z_NZ: Tensor, labels_N: Tensor | None = None) -> Tensor:
        if labels_N is not None:
            z_NZ = torch.cat([z_NZ, self.embedding(labels_N)], dim=1)
        return torch.tanh(self.to_picture(self.blocks(z_NZ[:, :, None, None])))


class Discriminator(nn.Module):
    """x_NCHW, and the classes if there are any -> logits_N, where above 0 means real.

    Of a class it learns a vector, whose product with the features is added to the logit: the projection of Miyato and
    Koyama 2018 (arXiv:1802.05637).
    """

    def __init__(self, options: GanOptions) -> None:
        super().__init__()
        self.blocks, self.to_logit = DISCRIMINATORS[options.network](options)
        if options.classes:
            self.embedding = nn.Embedding(options.classes, self.to_logit.in_channels)

    def features(self, x_NCHW: Tensor) -> Tensor:
        """The last hidden layer: feature maps of 4x4, which do not depend on the class."""
        return self.blocks(x_NCHW)

    def judge(self, features_NCHW: Tensor, labels_N: Tensor | None = None) -> Tensor:
        """Features, and the classes if there are any -> logits_N."""
        logits_N = self.to_logit(features_NCHW).flatten()
        if labels_N is None:
            return logits_N
        return logits_N + (self.embedding(labels_N) * features_NCHW.mean(dim=(2, 3))).sum(dim=1)

    def forward(self, x_NCHW: Tensor, labels_N: Tensor | None = None) -> Tensor:
        return self.judge(self.features(x_NCHW), labels_N)


def build(options: GanOptions) -> nn.ModuleDict:
    """The whole model: generator, discriminator, and `generator_ema`, the generator's average, if one is kept.

    The weights are arbitrary, and are later filled from `fl_node.learning.genesis` or a received model.
    """
    # Creating modules draws weights, which are replaced later. The process's random numbers must not change.
    with torch.random.fork_rng(devices=[]):
        parts = {"generator": Generator(options), "discriminator": Discriminator(options)}
        if options.ema_half_life:
            parts["generator_ema"] = Generator(options).requires_grad_(False)
    return nn.ModuleDict(parts)
