"""What members publish without averaging it, such as a GAN's discriminators, for the others to train against.

Source: one generator against the discriminators of all members, as in MD-GAN (Hardy et al. 2019, arXiv:1811.03850) and
UA-GAN (Zhang et al. 2021, arXiv:2102.04655), which both need a server.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from chain.types import Address, UpdateRevealed
from fl_node.arrays import Array, Arrays, prefixed
from fl_node.blobs.global_state import PUBLISHED, published_schema
from fl_node.blobs.model import Model
from fl_node.blobs.reader import Reader
from fl_node.manifest.manifest import Manifest
from fl_node.round.verdicts import Verdicts
from fl_node.seeds import derive_seed

Published = Mapping[Address, Arrays]
"""What each member published, under the tensors' names in the model."""


def draw_opponents(
    manifest: Manifest, round: int, client: Address, others: Iterable[Address]
) -> list[Address]:
    """Of the members that have published something, those against which a member trains.

    Each has a number that follows from the manifest's seed, the round and both members; the lowest ones are taken, so
    that nobody can choose.

    Args:
        manifest: Gives the seed and the most opponents.
        round: The round in which they are used.
        client: The member that trains; never its own opponent.
        others: The members that have published something.

    Returns:
        The opponents, in ascending order of their numbers.
    """

    def number(other: Address) -> int:
        return derive_seed(manifest.seed, "opponents", round, client, other)

    ordered = sorted((other for other in others if other != client), key=number)
    return ordered[: manifest.strategy.share.opponents]


def read_published(
    store: Reader,
    manifest: Manifest,
    state: Arrays,
    parent_digest: bytes,
    reveals: Iterable[UpdateRevealed],
) -> dict[Address, Arrays]:
    """What the updates of an earlier round published, by client.

    An update that is missing or damaged today is passed over: the member trains against those that it can read.

    Args:
        store: Holds the updates.
        manifest: The task.
        state: Any global state of the task, which has the tensors' shapes.
        parent_digest: Digest of the model from which the updates' round started.
        reveals: The updates.

    Raises:
        StoreUnusable: The store cannot be read.
    """
    names = published_schema(state)
    verdicts = Verdicts(store, manifest, Model(parent_digest, state))
    return {
        update.header.client: {
            # Copies, so that the rest of the blob need not stay in memory.
            name: np.array(update.arrays[f"{PUBLISHED}.{name}"])
            for name in names
        }
        for update in verdicts.judge(reveals)
    }


def published_part(state: Arrays, private: Arrays) -> dict[str, Array]:
    """What a member publishes of its private arrays, under the names in its update."""
    return prefixed(f"{PUBLISHED}.", {name: private[name] for name in published_schema(state)})
