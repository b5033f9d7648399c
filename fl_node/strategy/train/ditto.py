"""Ditto: beside the shared model each member trains a personal one, held near the shared one by a proximal pull.

The shared model is trained as in FedAvg and sent; the personal model v minimises F_k(v) + pull/2 ||v - w_t||^2, is
never sent, and goes on from round to round. It is the form of federated multi-task learning that deep networks allow.

MOCHA (Smith et al. 2017, arXiv:1705.10467), which gave federated multi-task learning its name, is not offered. It
solves the dual of a convex problem, with one dual variable for each example and a matrix of relations between the
members' tasks; a network's loss is not convex, has no such dual, and gives the members' subproblems nothing to
approximate. A version "for deep nets" would be another algorithm under the same name, so there is none here.

Source: Li et al. 2021, arXiv:2012.04221, Algorithm 1.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import Field

from fl_node.arrays import Array, Arrays, prefixed, unprefixed
from fl_node.fields import Choice, Number
from fl_node.learner import Assignment, Learner, Trained
from fl_node.seeds import derive_seed
from fl_node.strategy.train.context import Context
from fl_node.strategy.train.private import split_private

PERSONAL: Final = "personal."
"""Prefix of what Ditto keeps."""

_MODEL: Final = "model."
_STATE: Final = "state."


class Ditto(Choice):
    """Ditto; twice the work of FedAvg, the same traffic."""

    kind: Literal["ditto"] = "ditto"
    pull: Annotated[Number, Field(ge=0)] = Decimal("0.1")
    """The paper's lambda: 0 trains alone, large values follow the shared model. It chooses among 0.05 to 2 by each
    member's validation data; 0.1 is in both of the ranges that it searches."""


def train_ditto(
    choice: Ditto, learner: Learner, assignment: Assignment, context: Context
) -> Trained:
    """Train the shared model, then the personal one by the same assignment with the pull towards the received model.

    Returns:
        The shared training's result; the personal model is among the private arrays (`personal_model`).
    """
    own, personal = split_private(assignment.private, PERSONAL)
    shared = learner.train(
        replace(assignment, private=own),
        lambda step, steps, losses: context.progress(step, 2 * steps, losses),
    )
    tuned = learner.train(
        replace(
            assignment,
            model=unprefixed(_MODEL, personal) or assignment.model,
            private=unprefixed(_STATE, personal) if personal else None,
            seed=derive_seed(assignment.seed, "personal"),
            anchor=assignment.model,
            mu=float(choice.pull),
        ),
        lambda step, steps, losses: context.progress(steps + step, 2 * steps, losses),
    )
    kept = prefixed(_MODEL, tuned.shared) | prefixed(_STATE, tuned.private)
    return replace(shared, private={**shared.private, **prefixed(PERSONAL, kept)})


def personal_model(private: Arrays) -> tuple[dict[str, Array], dict[str, Array]] | None:
    """The personal model among a member's private arrays.

    Returns:
        Its tensors under the shared model's names, and the private arrays that complete it, as `Learner.measure` takes
        them; None where no personal model was trained.
    """
    _, personal = split_private(private, PERSONAL)
    if not personal:
        return None
    return unprefixed(_MODEL, personal), unprefixed(_STATE, personal)
