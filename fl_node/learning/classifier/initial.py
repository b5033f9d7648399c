"""Initial values of a classifier's tensors."""

from __future__ import annotations

import math

from fl_node.arrays import Array
from fl_node.learning.initial import identity, near_normal
from fl_node.seeds import derive_seed


def initial(name: str, shape: tuple[int, ...], seed: int) -> Array:
    """Weights are drawn with mean 0 and variance 2 / (inputs of an output) (He et al. 2015, arXiv:1502.01852).

    The square root is the same on every machine, because IEEE 754 requires correct rounding.
    """
    if len(shape) < 2:
        return identity(name, shape)
    return near_normal(shape, math.sqrt(2 / math.prod(shape[1:])), derive_seed(seed, name))
