"""The weights that training starts from, derived from a seed once."""

from __future__ import annotations

import torch

from fl_node.arrays import Array
from fl_node.learning.kinds import kind_of
from fl_node.learning.options import Options
from fl_node.learning.tensors import module_tensors


def genesis(options: Options, seed: int) -> dict[str, Array]:
    """Derive the whole model, before anything is left out that is not shared.

    Args:
        options: The model.
        seed: 0 to 2**63 - 1; each tensor has its own stream, so that its values depend on its name alone.

    Returns:
        float32 arrays: a GAN's `generator.*`, `discriminator.*`, `generator_ema.*`, a classifier's `base.*`, `head.*`.
    """
    initial = kind_of(options).initial
    return {name: initial(name, shape, seed) for name, shape in tensor_shapes(options).items()}


def tensor_shapes(options: Options) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the whole model's tensors."""
    with torch.device("meta"):
        tensors = module_tensors(kind_of(options).build(options))
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}
