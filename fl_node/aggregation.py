"""How updates become the next model: pure rules over arrays, the same bytes on every machine.

float64 throughout, clients in ascending order of address, one rounding for each multiplication,
addition and division (numpy's element-wise loops fuse none of them), and one to the tensor's own
dtype. No BLAS and no `np.sum`, whose order of additions depends on the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from fl_node.arrays import Array, Arrays, Float64
from fl_node.encoding import Update
from fl_node.errors import Misuse

CHUNK = 32_768
"""Elements worked on at a time: they stay in a core's cache. Any number gives the same result."""

Combine = Callable[[Arrays, Iterable[Update]], dict[str, Array]]
"""Parent and updates, in ascending order of client, to the next model."""


def weighted_mean(parent: Arrays, updates: Iterable[Update]) -> dict[str, Array]:
    """Move the parent by the mean of the updates, each weighted by its number of examples.

    w = round(parent + (n_1 u_1 + n_2 u_2 + ...) / (n_1 + n_2 + ...)). Updates are taken one at a
    time: one of them and a float64 copy of the model are in memory at once. No update at all leaves
    the parent as it is.

    Args:
        parent: The model the updates were trained from.
        updates: Verified (`fl_node.validity.verify_update`), ascending strictly by client address.

    Returns:
        The next model: names, shapes and dtypes of the parent.

    Raises:
        Misuse: The updates are not in ascending order of client.

    Source: McMahan et al. 2017, Algorithm 1 (arXiv:1602.05629).
    """
    sums: dict[str, Float64] = {}
    weight = 0
    for update in ascending(updates):
        weight += update.header.num_examples
        for name in parent:
            values = update.arrays[name].reshape(-1)
            if name in sums:
                _add_scaled(sums[name], values, update.header.num_examples)
            else:
                sums[name] = _scaled(values, update.header.num_examples)
    if not weight:
        return dict(parent)
    return {name: _moved(parent[name], sums.pop(name), weight) for name in parent}


COMBINE: Mapping[str, Combine] = {"weighted_mean": weighted_mean}
"""The choices for `strategy.combine` in a manifest."""


def ascending(updates: Iterable[Update]) -> Iterator[Update]:
    """Yield the updates, and refuse them where they do not ascend by client.

    Raises:
        Misuse: An update's client is not above the one before.
    """
    last = -1
    for update in updates:
        number = int(update.header.client, 16)
        if number <= last:
            raise Misuse(
                f"updates must ascend by client: {update.header.client} comes after 0x{last:040x}"
            )
        last = number
        yield update


def chunks(size: int) -> Iterator[slice]:
    """Cut the range from 0 to `size` into slices of `CHUNK`, the last one shorter."""
    for start in range(0, size, CHUNK):
        yield slice(start, min(start + CHUNK, size))


def _scaled(values: Array, weight: int) -> Float64:
    """weight * values."""
    scaled = np.empty(values.size)
    for part in chunks(values.size):
        scaled[part] = values[part]
        np.multiply(scaled[part], float(weight), out=scaled[part])
    return scaled


def _add_scaled(total: Float64, values: Array, weight: int) -> None:
    """total += weight * values, in place."""
    scratch = np.empty(min(CHUNK, values.size))
    for part in chunks(values.size):
        scaled = scratch[: part.stop - part.start]
        scaled[...] = values[part]
        np.multiply(scaled, float(weight), out=scaled)
        np.add(total[part], scaled, out=total[part])


def _moved(parent: Array, total: Float64, weight: int) -> Array:
    """parent + total / weight, rounded to the parent's dtype. Uses up `total`."""
    moved = np.empty(parent.size, parent.dtype)
    start = parent.reshape(-1)
    for part in chunks(parent.size):
        step = np.divide(total[part], float(weight), out=total[part])
        np.add(start[part], step, out=step)
        moved[part] = np.rint(step) if parent.dtype.kind in "iu" else step
    return moved.reshape(parent.shape)
