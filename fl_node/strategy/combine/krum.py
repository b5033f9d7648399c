"""Krum: follow the update that is closest to its nearest neighbours."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
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
"""Number of running sums of squares for each pair. Part of the protocol: another number would round differently."""


class Krum(Choice):
    """Krum: the update that is closest to its nearest neighbours. With `keep` > 1, multi-Krum: the mean of the best.

    Tolerates up to `byzantine` Byzantine members among n > 2 * byzantine + 2 updates, if honest updates are closer to
    each other than to Byzantine ones. Numbers of examples are ignored, because a Byzantine member could claim any. All
    updates are held in memory and compared pairwise, so the time grows with the square of n.
    """

    kind: Literal["krum"] = "krum"
    robust: ClassVar[bool] = True
    byzantine: Annotated[int, Field(ge=0, le=(MAX_MEMBERS - 3) // 2)] = 1
    """The most Byzantine members that are tolerated; f in the paper."""
    keep: Annotated[int, Field(ge=1, le=MAX_MEMBERS)] = 1
    """Number of updates to average; m in the paper."""

    def objection(self, beside: Beside) -> str | None:
        """A round may have too few updates for `byzantine` or `keep`; see also `robust_objection`."""
        updates, least = beside.min_updates, 2 * self.byzantine + 3
        if updates < least:
            return (
                f"with byzantine = {self.byzantine}, rounds.min_updates must be at least {least}, not {updates}; "
                "or lower byzantine"
            )
        if self.keep > updates - self.byzantine:
            return (
                f"keep is {self.keep}, but only {updates - self.byzantine} of {updates} updates are sure to be honest: "
                f"keep at most {updates - self.byzantine}"
            )
        return robust_objection(beside)


def krum(
    knobs: Krum,
    parent: Arrays,
    updates: Iterable[Update],
    statistics: Collection[str] = (),
) -> dict[str, Array]:
    """Move the parent by the update with the lowest score, or by the mean of the best ones (`Rule.combine`).

    An update's score is the sum of its squared distances to its n - byzantine - 2 nearest neighbours, by the weights
    alone: statistics have other scales. Of equal scores,
    the lower address comes first. Members with invalid updates count as Byzantine. If fewer than 2 * byzantine + 3
    valid updates are left, at most floor((n - 3) / 2) of them are Byzantine, and that number replaces `byzantine`. With
    fewer than three updates there is nothing to compare, and the result is the parent.

    Source: Blanchard et al. 2017 (arXiv:1703.02757).
    """
    held = list(ascending(updates))
    byzantine = min(knobs.byzantine, (len(held) - 3) // 2)
    if byzantine < 0:
        return dict(parent)
    distances = squared_distances(parent.keys() - set(statistics), held)
    scores = _scores(distances, len(held) - byzantine - 2)
    kept = min(knobs.keep, len(held) - byzantine)
    best = sorted(range(len(held)), key=scores.__getitem__)[:kept]
    sums: dict[str, Float64] = {}
    for index in sorted(best):
        add_scaled(sums, parent, held[index], 1.0)
    return {name: plus_mean(parent[name], sums.pop(name), float(len(best))) for name in parent}


def squared_distances(names: Iterable[str], updates: Sequence[Update]) -> Float64:
    """The pairwise squared Euclidean distances of the updates, over the named tensors together; (n, n).

    Each pair has `DISTANCE_LANES` running sums in float64. The tensors are taken in order of name; the squared
    difference of elements i, in C order, is added to sum i modulo `DISTANCE_LANES`. The sums are then added exactly and
    rounded once.
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
    """The flattened arrays as rows of float64 matrices, `DISTANCE_LANES` elements at a time."""
    flat = [array.reshape(-1) for array in arrays]
    for start in range(0, flat[0].size, DISTANCE_LANES):
        yield np.stack([array[start : start + DISTANCE_LANES] for array in flat], dtype=np.float64)


def _scores(distances: Float64, neighbours: int) -> list[float]:
    """Each update's sum of squared distances to its nearest neighbours, added exactly and rounded once."""
    scores = []
    for index, row in enumerate(distances.tolist()):
        others = sorted(row[:index] + row[index + 1 :])
        scores.append(math.fsum(others[:neighbours]))
    return scores
