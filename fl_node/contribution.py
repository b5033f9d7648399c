"""One member's work in one round, from the received model to an update blob. No chain, no store.

The node on the chain and the plain simulation both call this, so that they train the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from chain.types import Address
from fl_node.arrays import Arrays
from fl_node.encoding import UpdateHeader, difference, encode_update
from fl_node.errors import TrainingDiverged
from fl_node.learner import Learner, Progress, no_progress
from fl_node.manifest import Manifest
from fl_node.seeds import derive_seed

MILLIONTHS = 1_000_000
MAX_LOSS = ((1 << 63) - 1) // MILLIONTHS
"""Either side of 0; in millionths, what is beyond does not fit into a reveal's int64."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a contribution belongs: all that the update's header says besides the examples."""

    task: int
    round: int
    client: Address
    parent_digest: bytes


@dataclass(frozen=True, slots=True)
class Contribution:
    """What a member sends, and what it keeps.

    Attributes:
        blob: The encoded update.
        num_examples: > 0.
        training_loss, held_out_loss: In millionths, rounded to the nearest.
        private: The learner's private arrays for its next round.
    """

    blob: bytes
    num_examples: int
    training_loss: int
    held_out_loss: int
    private: Arrays


def contribute(
    manifest: Manifest,
    place: Place,
    learner: Learner,
    parent: Arrays,
    private: Arrays | None,
    progress: Progress = no_progress,
) -> Contribution:
    """Train on the parent model and encode the difference.

    Args:
        manifest: Gives the seed and the encoding.
        place: Task, round, client and parent.
        learner: Trains on this member's data.
        parent: The round's parent model.
        private: What the member kept from the last round it trained in; None before its first.
        progress: Told about the steps.

    Raises:
        TrainingDiverged: As the learner does; or a loss is beyond `MAX_LOSS`, or not a number.
    """
    seed = derive_seed(manifest.seed, "train", place.round, place.client)
    trained = learner.train(parent, private, seed, progress)
    header = UpdateHeader(
        task=place.task,
        round=place.round,
        client=place.client,
        parent_digest=place.parent_digest,
        codec=manifest.strategy.encode,
        num_examples=trained.num_examples,
    )
    return Contribution(
        blob=encode_update(header, difference(trained.shared, parent)),
        num_examples=trained.num_examples,
        training_loss=_millionths("training", trained.training_loss),
        held_out_loss=_millionths("held-out", trained.held_out_loss),
        private=trained.private,
    )


def _millionths(which: str, loss: float) -> int:
    if not abs(loss) <= MAX_LOSS:  # so that NaN is caught, too
        raise TrainingDiverged(f"the {which} loss is {loss}; at most {MAX_LOSS} can be revealed")
    return round(loss * MILLIONTHS)
