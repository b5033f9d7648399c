"""FedNova: averaging in which members that take more steps do not pull the model towards their own optimum.

Example: each gradient pulls one member by 1 to the left, and another by 1 to the right. If the first takes nine steps
and the second one, FedAvg moves the model by 4 to the left, and FedNova not at all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from decimal import Context, Decimal
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import Field

from fl_node.arithmetic import plus_mean
from fl_node.arrays import Array, Arrays, Float64
from fl_node.blobs.encoding import Update
from fl_node.fields import Beside, Choice, Number
from fl_node.strategy.combine.rule import ascending
from fl_node.strategy.combine.sums import add_scaled


class FedNova(Choice):
    """Normalised averaging, for members that take different numbers of steps.

    Each update is divided by the weight that its gradients have in it: its number of steps, and more if the members'
    SGD has momentum. That is exact for SGD, and an approximation for Adam. Members report their own steps: a member
    that claims too many makes its own update count less, and scales up everybody's.
    """

    kind: Literal["fednova"] = "fednova"
    momentum: Annotated[Number, Field(ge=0, lt=1)] = Decimal(0)
    """Rho: the momentum of the members' SGD, so that this rule needs nothing but the strategy."""

    def objection(self, beside: Beside) -> str | None:
        """The weights of gradients must be those of the members' optimiser."""
        if self.momentum != beside.momentum:
            return (
                f"momentum = {self.momentum}, but the learner's SGD has momentum {beside.momentum}, with which its "
                f'steps weigh differently; use combine = {{kind = "fednova", momentum = {beside.momentum}}}'
            )
        if self.momentum and beside.optimiser_state == "kept":
            return (
                "fednova normalises momentum that starts at 0 in each round, but the learner's goes on; use "
                "learner.optimiser_state = fresh"
            )
        return None


def fednova(
    knobs: FedNova,
    parent: Arrays,
    updates: Iterable[Update],
    statistics: Collection[str] = (),
) -> dict[str, Array]:
    """Move the parent by the mean update per step, times the mean number of steps (`Rule.combine`).

    w = parent + (sum p_k a_k) * sum p_k u_k / a_k, where member k has the share p_k = n_k / n of the examples and took
    the weight a_k = `gradient_weight`. Every factor of a tensor is computed exactly and rounded once. With equal steps
    the result is therefore the weighted mean's, byte for byte. Statistics always move by the weighted mean: they are
    measured, and do not grow with the steps. Holds one update and a float64 copy of the model in memory.

    Source: Wang et al. 2020 (arXiv:2007.07481), with the a_k of section 4.1.
    """
    sums: dict[str, Float64] = {}
    weights = parent.keys() - set(statistics)
    examples, work, unit = 0, Fraction(0), Fraction(0)
    for update in ascending(updates):
        count = update.header.num_examples
        weight = gradient_weight(update.header.steps, knobs.momentum)
        unit = unit or weight  # Counting in units of the first member's weight cancels out exactly.
        examples += count
        work += count * weight
        add_scaled(sums, weights, update, float(count * unit / weight))
        add_scaled(sums, statistics, update, float(count))
    if not examples:
        return dict(parent)
    divisor = float(examples * examples * unit / work)
    return {
        name: plus_mean(array, sums.pop(name), divisor if name in weights else float(examples))
        for name, array in parent.items()
    }


def gradient_weight(steps: int, momentum: Decimal) -> Fraction:
    """a_k: the sum of the weights that the gradients of `steps` steps of SGD have in an update, in learning rates.

    With momentum rho that starts at 0, the last gradient counts 1, the one before 1 + rho, then 1 + rho + rho^2, and so
    on: a = (steps - rho (1 - rho^steps) / (1 - rho)) / (1 - rho). Without momentum it is the number of steps.

    Returns:
        The value, rounded to 40 significant digits; computed with 100, which covers what cancels out.
    """
    if not momentum:
        return Fraction(steps)
    decimals = Context(prec=100)
    rest = decimals.subtract(1, momentum)
    faded = decimals.subtract(1, decimals.power(momentum, steps))
    lost = decimals.divide(decimals.multiply(momentum, faded), rest)
    weight = decimals.divide(decimals.subtract(steps, lost), rest)
    return Fraction(Context(prec=40).plus(weight))
