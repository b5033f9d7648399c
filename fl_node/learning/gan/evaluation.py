"""How far samples are from real pictures, by a number that falls as they get better, unlike a GAN's own losses."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fl_node.arrays import Array
from fl_node.learning.classifier.evaluation import features
from fl_node.learning.extractor import random_weights
from fl_node.learning.gan.options import GanOptions
from fl_node.learning.gan.samples import sample, to_pixels
from fl_node.learning.steps import Examples, to_pictures
from fl_node.measures import kid
from fl_node.seeds import derive_seed

SAMPLES = 256
MAX_REAL = 1024
"""Held-out pictures that are measured on, where there are more."""


def held_out_loss(
    options: GanOptions, model: nn.ModuleDict, held_out: Examples, seed: int
) -> float:
    """Kernel inception distance of the generator's samples from held-out pictures, on the extractor's features.

    The generator's average is measured, where the model has one. Adversarial losses say little about the pictures, and
    this does: docs/decisions/0012-held-out-loss-is-kid.md.

    Args:
        options: The model's, and the extractor.
        model: On the pictures' device.
        held_out: At least 2.
        seed: The manifest's. Gives z, the same in every round and on every device, so that rounds can be compared, and
            the extractor's weights, where they are random.

    Raises:
        Misuse: `options.extractor_weights` are not the extractor's.
    """
    generator = model["generator_ema" if "generator_ema" in model else "generator"]
    real_NCHW = held_out.pixels_NCHW[:MAX_REAL]
    random = torch.Generator().manual_seed(derive_seed(seed, "held-out z"))
    z_NZ = torch.randn(SAMPLES, options.latent, generator=random).to(real_NCHW.device)
    # Rounded to bytes as real pictures are, so that rounding cannot tell them apart.
    fake_NCHW = to_pixels(sample(generator, z_NZ))
    weights = options.extractor_weights or random_weights(options.extractor, seed)

    def seen(pixels_NCHW: Tensor) -> Array:
        return features(options.extractor, weights, to_pictures(pixels_NCHW)).cpu().numpy()

    return kid(seen(fake_NCHW), seen(real_NCHW))
