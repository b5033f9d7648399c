"""SCAFFOLD: control variates that correct the drift of local training.

Each member keeps c_i, an estimate of its own gradient; the global state keeps c, their mean over all members. In local
training each gradient g becomes g - c_i + c, so that members take many steps in the global direction. At a point where
the members' gradients sum to zero no member moves any more, whereas FedAvg with several local steps converges
elsewhere.

After training, c_i' is the mean of the round's gradients before their correction. With plain SGD this is the paper's
option II: a step is y -= eta (g - c_i + c), so that over all steps (w_t - y) / (steps eta) = mean(g) - c_i + c, and
therefore c_i - c + (w_t - y) / (steps eta) = mean(g). The mean gradient needs no learning rate and is well defined
under momentum and Adam, where a difference of weights is not a multiple of gradients. GANs with Adam are allowed for
this reason: the correction is made before Adam sees the gradient, and the fixed points stay the same. The paper's
convergence proof covers only SGD.

A member does not keep c_i' itself. It sends d = c_i' - c_i, and moves c_i by `step` times what everybody decodes from
that; c moves by the same share of the mean. So c stays the mean of all c_i whatever the codecs lose, and a member sends
what is missing in a later round. If decoding is right only on average, such as for one element in 16, its error can be
larger than d: then a small step is needed, for which c_i converges in spite of it. SCALLION (ICLR 2024) is SCAFFOLD
with such a step, alpha there.

c weights all members equally, as in the paper, and so does the fixed point, even if the aggregation rule weights
members by their examples. A lost update leaves c wrong by the change that it carried.

Sources: Karimireddy et al. 2019, arXiv:1910.06378, Algorithm 1; Huang, Li and Li 2023, arXiv:2308.08165, for the step;
Mishchenko et al. 2019, DIANA, arXiv:1901.09269, for how large it may be.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import ROUND_FLOOR, Decimal
from decimal import Context as Decimals
from typing import Annotated, Final, Literal

import numpy as np
from pydantic import Field

from fl_node.arithmetic import plus_mean
from fl_node.arrays import Array, Arrays, Float64, prefixed
from fl_node.errors import Misuse
from fl_node.fields import Beside, Choice, Number
from fl_node.learner import Assignment, Learner, Trained
from fl_node.strategy.train.context import Context
from fl_node.strategy.train.private import split_private

CONTROL: Final = "control"
"""The slot: c in the global state, d in an update, c_i among the member's private arrays."""

_PREFIX: Final = f"{CONTROL}."


class Scaffold(Choice):
    """SCAFFOLD. Takes twice the traffic of FedAvg, up and down."""

    kind: Literal["scaffold"] = "scaffold"
    step: Annotated[Number, Field(gt=0, le=1)] = Decimal(1)
    """The share of its change by which a control variate moves. 1 is SCAFFOLD; codecs with a large error need less."""

    def objection(self, beside: Beside) -> str | None:
        """Every control variate must reach all members, and count."""
        largest = largest_step(beside.variance)
        if self.step > largest:
            return (
                f"the codecs' squared error can be {beside.variance:.3g} times as large as the control variates' "
                f"changes, so variates that follow with step = {self.step} never settle; use "
                f'train = {{kind = "scaffold", step = {largest}}} or a smaller step'
            )
        if beside.share != ("*",):
            return (
                "scaffold's control variates correct every tensor towards the members' mean, but tensors outside share "
                'are never averaged; use share = ["*"] or train = plain'
            )
        if beside.combine.robust:
            return (
                f"scaffold adds up the control variates of all members, so one Byzantine member can move everyone's "
                f"gradients arbitrarily, and combine = {beside.combine.kind} cannot prevent it; use another rule, or "
                "another way of training"
            )
        if beside.send.kind != "always":
            return (
                f"scaffold needs the changes of all control variates, but with send = {beside.send.kind} a member that "
                "declines does not send its change; use send = always"
            )
        return None


def largest_step(variance: float) -> Decimal:
    """The largest step for codecs with this omega (`chain_variance`): 1 / (1 + omega), rounded down to two digits.

    With an omega below 1 even whole steps make the error smaller each time, so 1 is allowed. The same holds for stages
    that leave a part out, such as top_k, which count as 0.
    """
    if variance < 1:
        return Decimal(1)
    return Decimals(2, ROUND_FLOOR).divide(Decimal(1), 1 + Decimal(variance))


def train_scaffold(
    choice: Scaffold, learner: Learner, assignment: Assignment, context: Context
) -> Trained:
    """Train with corrected gradients, and send the change of the member's control variate beside the difference.

    Args:
        context: Its `server` is c.

    Returns:
        The private arrays still have the old variate, because only its encoder knows by how much it moves.

    Raises:
        TrainingDiverged: The learner raised it.
        Misuse: The learner returns no mean gradient.
    """
    learner_private, variate = split_private(assignment.private, _PREFIX)
    if not variate:
        variate = {name: np.zeros_like(array) for name, array in context.server.items()}
    correction = {
        name: np.asarray(context.server[name] - variate[name], array.dtype)
        if name in variate  # no statistic and no average has one: no gradient reaches them
        else np.zeros_like(array)
        for name, array in assignment.model.items()
    }
    trained = learner.train(
        replace(assignment, private=learner_private, correction=correction), context.progress
    )
    if trained.mean_gradient is None:
        raise Misuse("scaffold needs the learner's mean gradient, but it returned none")
    latest = {name: np.asarray(trained.mean_gradient[name], np.float32) for name in variate}
    change = {name: np.asarray(latest[name] - variate[name]) for name in latest}
    return replace(
        trained,
        private={**trained.private, **prefixed(_PREFIX, variate)},
        sent=prefixed(_PREFIX, change),
    )


def advance_control(
    choice: Scaffold, control: Arrays, changes: Iterable[Arrays], members: int
) -> dict[str, Array]:
    """Move c by the members' changes: c + step (d_1 + d_2 + ...) / K.

    The sum is in float64, element by element in the order given; it is multiplied by the step and divided by K. The
    result is rounded once to float32 and clipped to its range, because a member may send any finite change. Without
    changes c stays the same, byte for byte. A member moves its own c_i in the same way, by its own change with K = 1.

    Args:
        control: c, float32, by tensor name.
        changes: d of the included updates, decoded, in ascending order of client; names and shapes as in `control`.
            Read one at a time.
        members: K, the number of all members of the task, not only of the cohort; > 0.

    Source: Karimireddy et al. 2019, Algorithm 1, line 17: c + |S|/K times the mean over the cohort S.
    """
    sums: dict[str, Float64] = {}
    for change in changes:
        for name in control:
            values = change[name].reshape(-1)
            if name in sums:
                np.add(sums[name], values, out=sums[name])
            else:
                sums[name] = values.astype(np.float64)
    if not sums:
        return dict(control)
    for total in sums.values():
        np.multiply(total, float(choice.step), out=total)
    return {name: plus_mean(control[name], sums.pop(name), float(members)) for name in control}
