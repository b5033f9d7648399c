"""Initial values of a flow's tensors."""

from __future__ import annotations

import math

from fl_node.arrays import Array
from fl_node.learning.initial import identity, near_normal
from fl_node.seeds import derive_seed

ZERO = ("to_velocity.weight", "second.weight")
"""At first the velocity is 0, and each residual block gives what it gets."""


def initial(name: str, shape: tuple[int, ...], seed: int) -> Array:
    """Weights are drawn with mean 0 and variance 1 / (inputs of an output), except for those that start at 0.

    The vectors of the classes are drawn with variance 1, so that classes differ from the first step on. The average
    starts as a copy of the flow. The square root is the same on every machine, because IEEE 754 requires correct
    rounding.
    """
    if len(shape) < 2 or name.endswith(ZERO):
        return identity(name, shape)
    tensor_seed = derive_seed(seed, name.replace("flow_ema.", "flow."))
    return near_normal(shape, 1 / math.sqrt(_inputs(name, shape)), tensor_seed)


def _inputs(name: str, shape: tuple[int, ...]) -> int:
    """Number of inputs of an output, which a transposed convolution of stride 2 reaches by a quarter of its kernel."""
    if name.endswith(".classes.weight"):
        return 1
    if ".widen." in name:
        return shape[0] * math.prod(shape[2:]) // 4
    return math.prod(shape[1:])
