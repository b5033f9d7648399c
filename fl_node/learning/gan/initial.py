"""Initial values of a GAN's tensors."""

from __future__ import annotations

import math

from fl_node.arrays import Array
from fl_node.learning.initial import identity, near_normal
from fl_node.seeds import derive_seed

WEIGHT_STD = 0.02


def initial(name: str, shape: tuple[int, ...], seed: int) -> Array:
    """Convolutions are drawn with mean 0 and standard deviation 0.02 (arXiv:1511.06434, section 4).

    A residual network's layers keep the variance of their inputs instead, and the last one of each branch is 0. The
    generator's vectors of classes are drawn like z. The discriminator's are 0: at first it judges without the class.
    The generator's average starts as a copy of the generator.
    """
    std = _std(name, shape)
    if not std:
        return identity(name, shape)
    return near_normal(shape, std, derive_seed(seed, name.replace("generator_ema.", "generator.")))


def _std(name: str, shape: tuple[int, ...]) -> float:
    """The standard deviation; 0 for a tensor that is not drawn.

    The square root is the same on every machine, because IEEE 754 requires correct rounding.
    """
    if name.endswith("embedding.weight"):
        return 0.0 if name.startswith("discriminator.") else 1.0
    if name.endswith(".second.weight") or len(shape) < 2:
        return 0.0
    return 1 / math.sqrt(math.prod(shape[1:])) if ".stage_" in name else WEIGHT_STD
