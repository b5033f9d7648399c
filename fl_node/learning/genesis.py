"""The weights that training starts from, derived from a seed."""

from __future__ import annotations

from collections.abc import Collection

import torch

from fl_node.arrays import Array
from fl_node.learning.kinds import kind_of
from fl_node.learning.options import Options
from fl_node.learning.tensors import module_tensors


def genesis(options: Options, seed: int) -> dict[str, Array]:
    """Derive the weights of the whole model, including tensors that are not shared.

    Args:
        options: The model.
        seed: 0 to 2**63 - 1. Each tensor has its own random stream, which depends only on the seed and its name.

    Returns:
        float32 arrays: a GAN's `generator.*`, `discriminator.*`, `generator_ema.*`, a classifier's `base.*`, `head.*`.
    """
    return initial_tensors(options, seed, tensor_shapes(options))


def initial_tensors(options: Options, seed: int, names: Collection[str]) -> dict[str, Array]:
    """Derive some of the weights of a shipped kind's model, as for `genesis`."""
    initial, shapes = kind_of(options).initial, tensor_shapes(options)
    return {name: initial(name, shapes[name], seed) for name in names}


def tensor_shapes(options: Options) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the whole model's tensors."""
    with torch.device("meta"):
        tensors = module_tensors(kind_of(options).learner.build(options))
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}
