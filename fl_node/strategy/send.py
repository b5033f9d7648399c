"""Whether an update is worth sending: the choices for `strategy.send`.

CMFL sends an update only if it points in the direction in which the model last moved. An update's relevance is the
share of its coordinates that have the same sign as in the last global update. A member whose update is not relevant
declines the round, which costs one small transaction and no upload. If nobody sent in the last round, everybody sends:
otherwise a model that stands still would go on standing still, because the same members decline for the same reasons.

Source: Wang, Wang and Li 2019, "CMFL: Mitigating Communication Overhead for Federated Learning", ICDCS.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from fl_node.arrays import Arrays
from fl_node.fields import Beside, Choice, Number


class Always(Choice):
    """Send every update."""

    kind: Literal["always"] = "always"


class Relevance(Choice):
    """Send an update only if it is relevant enough (CMFL)."""

    kind: Literal["relevance"] = "relevance"
    threshold: Annotated[Number, Field(ge=0, le=1)] = Decimal("0.8")
    """The least relevance at which an update is sent, v0 in the paper; 0 sends every update."""
    decay: Literal["none", "sqrt"] = "none"
    """Whether the threshold is constant, or falls with the round t as v0 / sqrt(t)."""

    def objection(self, beside: Beside) -> str | None:
        """A single relevant update must be enough for a round."""
        least = beside.min_updates
        if least == 1:
            return None
        return (
            f"a round with fewer than rounds.min_updates = {least} updates is aborted and repeated, and the same "
            "members would decline in every attempt; use rounds.min_updates = 1"
        )


Gate = Callable[[Any, Arrays, Arrays | None, int], bool]
"""(knobs, update, last global update, round from 1) -> whether to send."""


def worth_sending(choice: Choice, update: Arrays, previous: Arrays | None, round: int) -> bool:
    """Decide whether a member sends its update.

    Args:
        choice: The manifest's `strategy.send`.
        update: The difference that the member has trained, before any codec.
        previous: How the last round changed the tensors of `update`; None if it included no update, or if there was
            no round yet.
        round: From 1.
    """
    return SEND[type(choice)](choice, update, previous, round)


def relevance(update: Arrays, previous: Arrays) -> float:
    """The share of coordinates, 0 to 1, that have the same sign in both; two zeros count as the same sign.

    Args:
        update: At least one coordinate in total.
        previous: Names and shapes as in `update`.
    """
    same = sum(
        int(np.count_nonzero(np.sign(array) == np.sign(previous[name])))
        for name, array in update.items()
    )
    return same / sum(array.size for array in update.values())


def _always(choice: Always, update: Arrays, previous: Arrays | None, round: int) -> bool:
    return True


def _if_relevant(choice: Relevance, update: Arrays, previous: Arrays | None, round: int) -> bool:
    # If the model did not move, there is no direction to compare with: nothing would ever be sent again.
    if previous is None or not any(np.any(array) for array in previous.values()):
        return True
    threshold = float(choice.threshold)
    if choice.decay == "sqrt":
        threshold /= math.sqrt(round)
    return relevance(update, previous) >= threshold


SEND: Mapping[type[Choice], Gate] = {Always: _always, Relevance: _if_relevant}
"""The choices for `strategy.send` in a manifest. The first is the default."""
