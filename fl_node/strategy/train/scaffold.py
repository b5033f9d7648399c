"""SCAFFOLD: control variates take the drift out of local training.

Each member keeps c_i, its guess at its own gradient; the global state keeps c, their mean over all members. In local
training each gradient g becomes g - c_i + c, so that members take many steps along the global direction. At a point
where the members' gradients sum to zero nobody moves any more, where FedAvg with several steps stops elsewhere.

Afterwards c_i' is the mean of the round's gradients before their correction. With plain SGD that is the paper's
option II: a step is y -= eta (g - c_i + c), so that over all steps (w_t - y) / (steps eta) = mean(g) - c_i + c, and
therefore c_i - c + (w_t - y) / (steps eta) = mean(g). The mean of the gradients needs no learning rate and stays
well defined under momentum and Adam, where a difference of weights is no multiple of gradients. That is why GANs with
Adam are allowed: the correction is made before Adam sees the gradient, and the points where all members rest stay the
same. The paper's convergence proof covers SGD alone.

c weighs all members equally, as in the paper. So does the point of rest, whatever numbers of examples the rule of
combination weighs by. A member whose update is lost leaves c off by what it would have changed, and so does a codec by
what it loses and no feedback pays back.

Source: Karimireddy et al. 2019, arXiv:1910.06378, Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final, Literal

import numpy as np

from fl_node.arithmetic import plus_mean
from fl_node.arrays import Array, Arrays, Float64, prefixed
from fl_node.errors import Misuse
from fl_node.fields import Beside, Choice
from fl_node.learner import Assignment, Learner, Trained
from fl_node.strategy.train.context import Context
from fl_node.strategy.train.private import split_private

CONTROL: Final = "control"
"""The slot: c in the global state, c_i' - c_i in an update, c_i among the member's private arrays."""

_PREFIX: Final = f"{CONTROL}."


class Scaffold(Choice):
    """SCAFFOLD; twice the traffic of FedAvg each way."""

    kind: Literal["scaffold"] = "scaffold"

    def objection(self, beside: Beside) -> str | None:
        """Every variate must reach everyone, and count."""
        if beside.share != ("*",):
            return (
                "scaffold's variates correct every tensor towards the members' mean, but what share leaves out is "
                'never averaged; use share = ["*"], or train = plain'
            )
        if beside.combine.robust:
            return (
                f"scaffold adds up the variates of all members, so that one bad member moves everyone's gradients as "
                f"far as it likes and combine = {beside.combine.kind} protects nothing; use another rule, or another "
                "training"
            )
        if beside.send.kind != "always":
            return (
                f"scaffold's variates must all arrive, and a member that declines by send = {beside.send.kind} keeps "
                "a change that the others never hear of; use send = always"
            )
        return None


def train_scaffold(
    choice: Scaffold, learner: Learner, assignment: Assignment, context: Context
) -> Trained:
    """Train with corrected gradients, and send the change of the member's variate beside the difference.

    Args:
        context: Its `server` is c.

    Raises:
        TrainingDiverged: As the learner does.
        Misuse: The learner returns no mean gradient.
    """
    own, variate = split_private(assignment.private, _PREFIX)
    if not variate:
        variate = {name: np.zeros_like(array) for name, array in context.server.items()}
    correction = {
        name: np.asarray(context.server[name] - variate[name], array.dtype)
        for name, array in assignment.model.items()
    }
    trained = learner.train(
        replace(assignment, private=own, correction=correction), context.progress
    )
    if trained.mean_gradient is None:
        raise Misuse("scaffold needs the learner's mean gradient, but it returned none")
    latest = {name: np.asarray(array, np.float32) for name, array in trained.mean_gradient.items()}
    change = {name: np.asarray(latest[name] - variate[name]) for name in latest}
    return replace(
        trained,
        private={**trained.private, **prefixed(_PREFIX, latest)},
        sent=prefixed(_PREFIX, change),
    )


def advance_control(control: Arrays, changes: Iterable[Arrays], members: int) -> dict[str, Array]:
    """Move c by the members' changes: c + (change_1 + change_2 + ...) / K.

    float64, in the order given, element by element; rounded once to float32, and held within its range, since a
    change of a peer may be any finite number. Without changes c stays, byte for byte.

    Args:
        control: c, float32, by tensor name.
        changes: c_i' - c_i of the included updates, in ascending order of client; names and shapes of `control`.
            Taken one at a time.
        members: K, all members of the task and not only the cohort; > 0.

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
    return {name: plus_mean(control[name], sums.pop(name), float(members)) for name in control}
