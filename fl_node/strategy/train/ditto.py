"""Ditto: each member trains a personal model beside the shared one, kept close to it by a proximal term.

The shared model is trained and sent as in FedAvg. The personal model v minimises F_k(v) + pull/2 ||v - w_t||^2, is
never sent, and continues from round to round. This is a form of federated multi-task learning for deep networks.

MOCHA (Smith et al. 2017, arXiv:1705.10467), which introduced federated multi-task learning, is not offered. It solves
the dual of a convex problem, with one dual variable for each example and a matrix of relations between the members'
tasks. A network's loss is not convex and has no such dual, so the members' subproblems have nothing to approximate. A
version "for deep nets" would be another algorithm under the same name.

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
"""Prefix of the private arrays that Ditto keeps."""

_MODEL: Final = "model."
_STATE: Final = "state."


class Ditto(Choice):
    """Ditto. Takes twice the work of FedAvg, and the same traffic."""

    kind: Literal["ditto"] = "ditto"
    pull: Annotated[Number, Field(ge=0)] = Decimal("0.1")
    """Lambda in the paper. At 0 the personal model is trained alone; large values keep it close to the shared one. The
    paper chooses from 0.05 to 2 by each member's validation data; 0.1 is in both ranges that it searches."""


def train_ditto(
    choice: Ditto, learner: Learner, assignment: Assignment, context: Context
) -> Trained:
    """Train the shared model, then the personal one with the same assignment and a pull towards the received model.

    Returns:
        The result for the shared model; its private arrays contain the personal model (`personal_model`).
    """
    learner_private, personal = split_private(assignment.private, PERSONAL)
    shared = learner.train(
        replace(assignment, private=learner_private),
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
    """The personal model in a member's private arrays.

    Returns:
        Its tensors under the shared model's names, and the private arrays that complete it, as `Learner.measure` takes
        them; None if there is no personal model.
    """
    _, personal = split_private(private, PERSONAL)
    if not personal:
        return None
    return unprefixed(_MODEL, personal), unprefixed(_STATE, personal)
