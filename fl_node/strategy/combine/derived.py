"""What follows from a combined model, by its tensors' roles: variances that are not negative, and averages.

Nobody sends an average, such as that of the generator with which a GAN draws: every aggregator derives it. A member's
own average follows from its training, and averaging those again would cost as many bytes as the averaged network. The
global average follows the global model, in exact arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Context, Decimal, localcontext

import numpy as np

from fl_node.arithmetic import pieces, settle
from fl_node.arrays import Array, Arrays, Float64, floating
from fl_node.strategy.roles import Average, Roles

DIGITS = 50
"""Significant digits of the decay's decimals. Part of the protocol."""


def never_negative(roles: Roles, model: Arrays) -> dict[str, Array]:
    """The statistics that are never negative, such as variances, with 0 in place of every element below 0."""
    return {
        name: np.where(array > 0, array, np.zeros((), array.dtype))
        for name, array in floating(model).items()
        if roles.is_at_least_zero(name)
    }


def derive_averages(
    roles: Roles, before: Arrays, model: Arrays, steps: Sequence[int]
) -> dict[str, Array]:
    """Move every average towards the round's new model: keep ema + (1 - keep) w, settled.

    Every element stays between what it was and what the model's element is, so that averages of variances are never
    negative.

    Args:
        roles: Which tensors are averages, and of what.
        before: The averages before the round, by tensor name.
        model: The round's new model. An average of a tensor that it does not have in this shape stays as it is.
        steps: The steps of the included updates, at least one.
    """
    shares = {average.name: decay(average, steps) for average in roles.averages}
    return {name: _derived(roles, name, array, model, shares) for name, array in before.items()}


def decay(average: Average, steps: Sequence[int]) -> tuple[float, float]:
    """The share of itself that the average keeps in a round, and the share of the new model; each 0 to 1.

    keep = 0.5^(s / half-life), where s is the mean of the updates' steps, or 1 for a half-life in rounds. It is exp(s
    ln(1/2) / half-life) in decimals of `DIGITS` digits, whose exp and ln are correctly rounded, unlike those of floats:
    these differ between machines.
    """
    passed = Decimal(1)
    # A context of its own, without traps: a decay too small for a decimal is 0.
    with localcontext(Context(prec=DIGITS, traps=[])):
        if average.unit == "steps":
            passed = Decimal(sum(steps)) / len(steps)
        keep = (Decimal("0.5").ln() * passed / average.half_life).exp()
        return float(keep), float(1 - keep)


def _derived(
    roles: Roles, name: str, before: Array, model: Arrays, shares: Mapping[str, tuple[float, float]]
) -> Array:
    found = roles.average_of(name)
    if found is None or found[1] not in model or model[found[1]].shape != before.shape:
        return before
    average, source = found
    result = np.empty(before.shape, before.dtype)
    keep, add = shares[average.name]
    for old, new, out in pieces(before, model[source], result):
        mean: Float64 = np.multiply(old, keep, dtype=np.float64)
        np.add(mean, np.multiply(new, add, dtype=np.float64), out=mean)
        settle(mean, out)
    return result
