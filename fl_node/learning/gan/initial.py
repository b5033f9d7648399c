"""Initial values of a GAN's tensors."""

from __future__ import annotations

from fl_node.arrays import Array
from fl_node.learning.initial import identity, near_normal
from fl_node.seeds import derive_seed

WEIGHT_STD = 0.02


def initial(name: str, shape: tuple[int, ...], seed: int) -> Array:
    """Convolutions are drawn with mean 0 and standard deviation 0.02 (arXiv:1511.06434, section 4).

    The generator's average starts as a copy of the generator.
    """
    if len(shape) < 4:
        return identity(name, shape)
    tensor_seed = derive_seed(seed, name.replace("generator_ema.", "generator."))
    return near_normal(shape, WEIGHT_STD, tensor_seed)
