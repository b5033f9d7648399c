"""Krum: follow the update that has the most others close by."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from chain.types import MAX_MEMBERS
from fl_node.arithmetic import plus_mean
from fl_node.arrays import Array, Arrays, Float64
from fl_node.blobs.encoding import Update
from fl_node.fields import Beside, Choice
from fl_node.strategy.combine.robust import robust_objection
from fl_node.strategy.combine.rule import ascending
from fl_node.strategy.combine.sums import add_scaled

DISTANCE_LANES = 1_024
"""Running sums of squares for each pair. Part of the protocol: another number of them rounds differently."""


class Krum(Choice):
    """The one update whose nearest neighbours are nearest; with `keep` > 1, multi-Krum, the plain mean of the best.

    Bears up to `byzantine` bad members among n updates where n > 2 * byzantine + 2, if honest updates lie closer to
    each other than to bad ones. The members' numbers of examples are ignored, because a bad member could claim any.
    All updates are held at once, and each is compared with each: time grows with the square of n.
    """

    kind: Literal["krum"] = "krum"
    robust: ClassVar[bool] = True
    byzantine: Annotated[int, Field(ge=0, le=(MAX_MEMBERS - 3) // 2)] = 1
    """Bad members at most. (Written f in the paper.)"""
    keep: Annotated[int, Field(ge=1, le=MAX_MEMBERS)] = 1
    """Updates to average. (Written m in the paper.)"""

    def objection(self, beside: Beside) -> str | None:
        """Rounds may be too small for so many bad members, or too many kept; see also `robust_objection`."""
        updates, least = beside.min_updates, 2 * self.byzantine + 3
        if updates < least:
            return (
                f"with byzantine = {self.byzantine} a round needs at least {least} updates: rounds.min_updates must "
                f"be so many, not {updates}, or byzantine smaller"
            )
        if self.keep > updates - self.byzantine:
            return (
                f"keep is {self.keep}, but of {updates} updates only {updates - self.byzantine} are surely honest: "
                f"keep at most so many"
            )
        return robust_objection(beside)


def krum(knobs: Krum, parent: Arrays, updates: Iterable[Update]) -> dict[str, Array]:
    """Move the parent by the update with the least score, or by the mean of the best (`Rule.combine`).

    An update's score is the sum of its squared distances to its n - byzantine - 2 nearest others; of equal scores the
    lower address counts as less. Whoever sends an invalid update counts as bad, so that where fewer than
    2 * byzantine + 3 updates are left, at most floor((n - 3) / 2) of them are bad, and so many are reckoned with.
    Fewer than three leave nothing to compare: the parent stays.

    Source: Blanchard et al. 2017 (arXiv:1703.02757).
    """
    held = list(ascending(updates))
    bad = min(knobs.byzantine, (len(held) - 3) // 2)
    if bad < 0:
        return dict(parent)
    scores = _scores(squared_distances(parent, held), len(held) - bad - 2)
    best = sorted(range(len(held)), key=scores.__getitem__)[: min(knobs.keep, len(held) - bad)]
    sums: dict[str, Float64] = {}
    for index in sorted(best):
        add_scaled(sums, parent, held[index], 1.0)
    return {name: plus_mean(parent[name], sums.pop(name), float(len(best))) for name in parent}


def squared_distances(names: Iterable[str], updates: Sequence[Update]) -> Float64:
    """The squared Euclidean distance of each update to each other, over all tensors together, n x n.

    For each pair there are `DISTANCE_LANES` running sums in float64. Tensors are taken by name; the squared difference
    of their elements i, in C order, is added to sum i modulo `DISTANCE_LANES`. The sums are added exactly and rounded
    once.
    """
    count = len(updates)
    lanes = [np.zeros((count - 1 - first, DISTANCE_LANES)) for first in range(count - 1)]
    for name in sorted(names):
        for rows in _rows([update.arrays[name] for update in updates]):
            for first, sums in enumerate(lanes):
                squares = rows[first + 1 :] - rows[first]
                np.multiply(squares, squares, out=squares)
                part = sums[:, : squares.shape[1]]
                np.add(part, squares, out=part)
    distances = np.zeros((count, count))
    for first, sums in enumerate(lanes):
        distances[first, first + 1 :] = [math.fsum(pair) for pair in sums]
    return distances + distances.T


def _rows(arrays: Sequence[Array]) -> Iterator[Float64]:
    """The arrays side by side, flat, `DISTANCE_LANES` elements at a time, in float64."""
    flat = [array.reshape(-1) for array in arrays]
    for start in range(0, flat[0].size, DISTANCE_LANES):
        yield np.stack([array[start : start + DISTANCE_LANES] for array in flat], dtype=np.float64)


def _scores(distances: Float64, neighbours: int) -> list[float]:
    """Of each update, the sum of the squared distances to its nearest others, added exactly and rounded once."""
    scores = []
    for index, row in enumerate(distances.tolist()):
        others = sorted(row[:index] + row[index + 1 :])
        scores.append(math.fsum(others[:neighbours]))
    return scores
