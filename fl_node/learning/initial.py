"""Initial values of a tensor, by exact arithmetic that every machine can repeat."""

from __future__ import annotations

import numpy as np

from fl_node.arrays import Array


def near_normal(shape: tuple[int, ...], std: float, seed: int) -> Array:
    """Approximately normal numbers with mean 0 and standard deviation `std`, at most 6 deviations from 0; float32.

    Each is a sum of 12 uniform 16-bit numbers. This needs no logarithm, whose last bit differs between machines, and
    only the raw stream of a bit generator, which numpy keeps stable, unlike its normal numbers (NEP 19).
    """
    raw = np.random.PCG64(seed).random_raw(3 * int(np.prod(shape)))
    sums = raw.astype("<u8").view("<u2").reshape(-1, 12).sum(axis=1, dtype=np.int64)
    # The mean of one is 65535/2; the variance of twelve, in units of 2**16, is 1.
    return ((sums - 12 * 65_535 // 2) * (std / 65_536)).astype(np.float32).reshape(shape)


def identity(name: str, shape: tuple[int, ...]) -> Array:
    """Initial values of norms and biases: gains and batch variances are 1, all other values 0."""
    first = np.ones if name.endswith(("norm.weight", "running_var")) else np.zeros
    return first(shape, np.float32)
