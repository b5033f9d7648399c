"""A GAN's held-out loss: a distance between samples and real pictures, which falls as the samples improve."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fl_node.arrays import Array
from fl_node.learning.averages import drawing_part
from fl_node.learning.classifier.evaluation import features
from fl_node.learning.extractor import random_weights
from fl_node.learning.gan.options import GanOptions
from fl_node.learning.gan.samples import sample
from fl_node.learning.sampling import to_pixels
from fl_node.learning.steps import Examples, to_pictures
from fl_node.measures import kid
from fl_node.seeds import derive_seed

SAMPLES = 256
MAX_REAL = 1024
"""The most held-out pictures that are used."""


def held_out_loss(
    options: GanOptions, model: nn.ModuleDict, held_out: Examples, seed: int
) -> float:
    """Kernel inception distance between the generator's samples and held-out pictures, on the extractor's features.

    If the model has an average of the generator, the average is measured. If it is conditional, the samples have the
    held-out pictures' classes, so that a member measures what it can judge. Unlike adversarial losses, this distance
    shows how good the samples are: docs/decisions/0012-held-out-loss-is-kid.md.

    Args:
        options: The options of the model and of its extractor.
        model: On the pictures' device.
        held_out: At least 2.
        seed: The manifest's seed. It determines z, which is the same in every round and on every device so that rounds
            can be compared, and the extractor's weights if they are random.

    Raises:
        Misuse: `options.extractor_weights` do not belong to the extractor.
    """
    generator = model[drawing_part(model, "generator")]
    real_NCHW = held_out.pixels_NCHW[:MAX_REAL]
    random = torch.Generator().manual_seed(derive_seed(seed, "held-out z"))
    z_NZ = torch.randn(SAMPLES, options.latent, generator=random).to(real_NCHW.device)
    # Rounded to bytes like real pictures, so that rounding does not distinguish them.
    fake_NCHW = to_pixels(sample(generator, z_NZ, _labels(options, held_out)))
    weights = options.extractor_weights or random_weights(options.extractor, seed)

    def seen(pixels_NCHW: Tensor) -> Array:
        return features(options.extractor, weights, to_pictures(pixels_NCHW)).cpu().numpy()

    return kid(seen(fake_NCHW), seen(real_NCHW))


def _labels(options: GanOptions, held_out: Examples) -> Tensor | None:
    """The held-out pictures' classes, from the first one again after the last one."""
    if not options.classes:
        return None
    return held_out.labels_N[torch.arange(SAMPLES, device=held_out.labels_N.device) % len(held_out)]
