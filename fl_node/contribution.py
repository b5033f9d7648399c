"""One member's work in one round, from the received model to an update blob. No chain, no store.

The node on the chain and the plain simulation both call this, so that they train the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from chain.types import Address
from fl_node.arrays import Arrays
from fl_node.encoding import UpdateHeader, difference, encode_update
from fl_node.learner import Learner, Progress, no_progress
from fl_node.manifest import Manifest
from fl_node.seeds import derive_seed

MILLIONTHS = 1_000_000


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
        training_loss=round(trained.training_loss * MILLIONTHS),
        held_out_loss=round(trained.held_out_loss * MILLIONTHS),
        private=trained.private,
    )
