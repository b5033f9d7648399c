"""What earlier rounds say to a member that trains: the losses on record, as pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import median

from chain.types import Reveal
from fl_node.fields import Loss


@dataclass(frozen=True, slots=True)
class PastRound:
    """One final round.

    Attributes:
        parent_digest: The model that it started from.
        reveals: Of the updates that it included, in ascending order of client; none where everybody declined.
    """

    parent_digest: bytes
    reveals: tuple[Reveal, ...]


Past = Sequence[PastRound]
"""The final rounds before this one, oldest first."""


def last_with_updates(past: Past) -> PastRound | None:
    """The last round that included an update; None where there is none."""
    return next((one for one in reversed(past) if one.reveals), None)


def median_loss(past: Past, loss: Loss) -> float | None:
    """The median over the clients of the last round that included any, in millionths; None before that."""
    last = last_with_updates(past)
    return None if last is None else float(median(_loss(one, loss) for one in last.reveals))


def mean_losses(past: Past, loss: Loss) -> list[float]:
    """Each round's mean, weighted by examples, in millionths; rounds without updates say nothing and are left out."""
    means = (mean_loss(one.reveals, loss) for one in past)
    return [float(mean) for mean in means if mean is not None]


def mean_loss(reveals: Sequence[Reveal], loss: Loss) -> Fraction | None:
    """The exact mean of one round's losses, weighted by examples, in millionths; None of nothing."""
    examples = sum(reveal.num_examples for reveal in reveals)
    if not examples:
        return None
    total = sum(_loss(reveal, loss) * reveal.num_examples for reveal in reveals)
    return Fraction(total, examples)


def _loss(reveal: Reveal, loss: Loss) -> int:
    return reveal.training_loss if loss == "training" else reveal.held_out_loss
