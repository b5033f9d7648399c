"""What a member learns from earlier rounds: the recorded losses, as pure functions."""

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
        parent_digest: Digest of the model that it started from.
        reveals: Reveals of the included updates, in ascending order of client; empty if every member declined.
    """

    parent_digest: bytes
    reveals: tuple[Reveal, ...]


Past = Sequence[PastRound]
"""The final rounds before this one, oldest first."""


def last_with_updates(past: Past) -> PastRound | None:
    """The last round that included an update; None if there is none."""
    return next((final for final in reversed(past) if final.reveals), None)


def median_loss(past: Past, loss: Loss) -> float | None:
    """The median loss over the clients of the last round with updates, in millionths; None if there is none."""
    last = last_with_updates(past)
    return None if last is None else float(median(_loss(reveal, loss) for reveal in last.reveals))


def mean_losses(past: Past, loss: Loss) -> list[float]:
    """Each round's mean loss, weighted by examples, in millionths. Rounds without updates are skipped."""
    means = (mean_loss(final.reveals, loss) for final in past)
    return [float(mean) for mean in means if mean is not None]


def mean_loss(reveals: Sequence[Reveal], loss: Loss) -> Fraction | None:
    """The exact mean of one round's losses, weighted by examples, in millionths; None without examples."""
    examples = sum(reveal.num_examples for reveal in reveals)
    if not examples:
        return None
    total = sum(_loss(reveal, loss) * reveal.num_examples for reveal in reveals)
    return Fraction(total, examples)


def _loss(reveal: Reveal, loss: Loss) -> int:
    return reveal.training_loss if loss == "training" else reveal.held_out_loss
