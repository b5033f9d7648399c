"""The weights that training starts from, derived from a seed once, by exact arithmetic that any machine can repeat."""

from __future__ import annotations

import numpy as np
import torch

from fl_node.arrays import Array
from fl_node.learning.models import build
from fl_node.learning.options import GanOptions
from fl_node.learning.tensors import module_tensors
from fl_node.seeds import derive_seed

WEIGHT_STD = 0.02


def genesis(options: GanOptions, seed: int) -> dict[str, Array]:
    """Derive the whole model, before anything is left out that is not shared.

    Convolutions are drawn with mean 0 and standard deviation 0.02 (arXiv:1511.06434, section 4), gains and batch
    variances are 1, shifts and batch means 0. The generator's average starts as a copy of the generator.

    Args:
        options: The model.
        seed: 0 to 2**63 - 1; each tensor has its own stream, so that its values depend on its name alone.

    Returns:
        float32 arrays named `generator.*`, `discriminator.*`, `generator_ema.*`.
    """
    shapes = tensor_shapes(options)
    return {name: _initial(name, shape, seed) for name, shape in shapes.items()}


def tensor_shapes(options: GanOptions) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the whole model's tensors."""
    with torch.device("meta"):
        tensors = module_tensors(build(options))
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _initial(name: str, shape: tuple[int, ...], seed: int) -> Array:
    if len(shape) == 4:
        return _near_normal(shape, derive_seed(seed, name.replace("generator_ema.", "generator.")))
    if name.endswith(("norm.weight", "running_var")):
        return np.ones(shape, np.float32)
    return np.zeros(shape, np.float32)


def _near_normal(shape: tuple[int, ...], seed: int) -> Array:
    """Sums of 12 uniform 16-bit numbers: mean 0, standard deviation `WEIGHT_STD`, bell-shaped, at most 6 deviations.

    No logarithm or root is taken, whose last bit differs between machines, and numpy keeps the raw stream of a bit
    generator for ever, which it does not promise for its normal numbers (NEP 19).
    """
    raw = np.random.PCG64(seed).random_raw(3 * int(np.prod(shape)))
    sums = raw.astype("<u8").view("<u2").reshape(-1, 12).sum(axis=1, dtype=np.int64)
    # The mean of one is 65535/2; the variance of twelve, in units of 2**16, is 1.
    return ((sums - 12 * 65_535 // 2) * (WEIGHT_STD / 65_536)).astype(np.float32).reshape(shape)
