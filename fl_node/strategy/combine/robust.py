"""Coordinate-wise rules that tolerate Byzantine members: the median and the trimmed mean.

Both ignore the numbers of examples, because a Byzantine member could claim any. Both need all updates at once, and
process them piece by piece.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from decimal import Decimal
from math import ceil
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from fl_node.arithmetic import pieces, settle
from fl_node.arrays import Array, Arrays, Float64
from fl_node.blobs.encoding import Update
from fl_node.fields import Beside, Choice, Number
from fl_node.strategy.combine.rule import ascending


class Median(Choice):
    """The median of each coordinate.

    Tolerates fewer than half Byzantine members among those whose updates count: each coordinate then stays within the
    range of the honest updates. A member with an invalid update counts as Byzantine, so leaving it out preserves the
    honest majority.
    """

    kind: Literal["median"] = "median"
    robust: ClassVar[bool] = True

    def objection(self, beside: Beside) -> str | None:
        """A round may have too few updates for a meaningful median; see also `robust_objection`."""
        if beside.min_updates < 3:
            return (
                f"the median of one or two updates is their mean: rounds.min_updates must be at least 3, "
                f"not {beside.min_updates}"
            )
        return robust_objection(beside)


class TrimmedMean(Choice):
    """The unweighted mean of each coordinate, without its largest and smallest values.

    Of K values, floor(share * K) are cut off at each end. The rule tolerates the same number of Byzantine members: each
    coordinate then stays within the range of the honest updates. A member with an invalid update counts as Byzantine:
    for each update left out, at most one value fewer is cut off.
    """

    kind: Literal["trimmed_mean"] = "trimmed_mean"
    robust: ClassVar[bool] = True
    share: Annotated[Number, Field(gt=0, lt=0.5)] = Decimal("0.2")

    def objection(self, beside: Beside) -> str | None:
        """A round may have too few updates for anything to be cut off; see also `robust_objection`."""
        least = ceil(1 / self.share)
        if beside.min_updates < least:
            return (
                f"share = {self.share} cuts off nothing with fewer than {least} updates: rounds.min_updates must be at "
                f"least {least}, not {beside.min_updates}; or raise the share"
            )
        return robust_objection(beside)


def robust_objection(beside: Beside) -> str | None:
    """Why a robust rule does not go with the manifest's codecs; None if it does."""
    for stage in beside.stages:
        if stage.sparse:
            return (
                f"codec {stage.kind} sets most coordinates to zero, different ones in each update, and the zeros would "
                f"outvote what was learnt: use another codec, or combine by weighted_mean"
            )
    return None


def median(
    knobs: Median,
    parent: Arrays,
    updates: Iterable[Update],
    statistics: Collection[str] = (),
) -> dict[str, Array]:
    """Move each coordinate by the median of the updates, or by the mean of the two middle values (`Rule.combine`).

    Source: Yin et al. 2018, Definition 1 (arXiv:1803.01498).
    """
    return _by_rank(parent, updates, _middle)


def trimmed_mean(
    knobs: TrimmedMean,
    parent: Arrays,
    updates: Iterable[Update],
    statistics: Collection[str] = (),
) -> dict[str, Array]:
    """Move each coordinate by the mean of the values that are not cut off (`Rule.combine`).

    The values are added in ascending order.

    Source: Yin et al. 2018, Definition 2 (arXiv:1803.01498).
    """
    return _by_rank(
        parent, updates, lambda ranked: _mean(_trimmed(ranked, int(knobs.share * len(ranked))))
    )


def _by_rank(
    parent: Arrays, updates: Iterable[Update], estimate: Callable[[Array], Float64]
) -> dict[str, Array]:
    held = list(ascending(updates))
    if not held:
        return dict(parent)
    return {
        name: _moved(array, [update.arrays[name] for update in held], estimate)
        for name, array in parent.items()
    }


def _moved(parent: Array, arrays: list[Array], estimate: Callable[[Array], Float64]) -> Array:
    """The parent plus the estimate from the sorted values of each coordinate."""
    result = np.empty(parent.shape, parent.dtype)
    for start, out, *values in pieces(parent, result, *arrays):
        ranked = np.stack(values)
        # Turns -0 into +0: the two compare equal, so a sort may put either first.
        np.add(ranked, np.float32(0), out=ranked)
        ranked.sort(axis=0)
        settle(start + estimate(ranked), out)
    return result


def _middle(ranked: Array) -> Float64:
    count = len(ranked)
    middle: Float64 = ranked[(count - 1) // 2].astype(np.float64)
    np.add(middle, ranked[count // 2], out=middle)
    return np.divide(middle, 2.0, out=middle)


def _trimmed(ranked: Array, cut: int) -> Array:
    return ranked[cut : len(ranked) - cut]


def _mean(rows: Array) -> Float64:
    total: Float64 = rows[0].astype(np.float64)
    for row in rows[1:]:
        np.add(total, row, out=total)
    return np.divide(total, float(len(rows)), out=total)
