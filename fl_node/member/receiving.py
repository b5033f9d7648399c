"""What a member starts a round with besides the parent: as much of the past as the strategy needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chain.errors import HistoryInvalid
from chain.types import Address, Entry
from fl_node.arrays import Arrays
from fl_node.blobs.global_state import model_of
from fl_node.blobs.model import Model
from fl_node.blobs.store import Store
from fl_node.history.past import Past
from fl_node.history.record import last_included, past_of
from fl_node.manifest.manifest import Manifest
from fl_node.round.contribute import Received
from fl_node.round.published import Published, draw_opponents, read_published

Load = Callable[[bytes], Model]
"""Loads a model by its digest."""


def receive(
    manifest: Manifest,
    client: Address,
    round: int,
    parent: Arrays,
    entries: Sequence[Entry],
    store: Store,
    load: Load,
) -> Received:
    """Read what the strategy needs of the past.

    Args:
        manifest: The task, whose strategy needs something of the past.
        client: The member that trains.
        round: The round that it trains in.
        parent: The round's parent.
        entries: The task's whole log.
        store: Holds the updates of earlier rounds.
        load: Loads the models of earlier rounds.

    Raises:
        HistoryInvalid: The log does not show every final round.
        StoreUnusable: The store cannot be read.
        BadData: The model that the last round started from is missing or damaged.
    """
    past = past_of(manifest.addresses, entries)
    if len(past) != round - 1:
        raise HistoryInvalid(f"the log shows {len(past)} of {round - 1} final rounds")
    strategy = manifest.strategy
    return Received(
        parent,
        _previous(past, load) if strategy.needs_previous else None,
        past,
        _published(manifest, client, round, parent, entries, store)
        if strategy.share.publish
        else {},
    )


def _previous(past: Past, load: Load) -> Arrays | None:
    """The model that the last round started from, if it had updates."""
    if not past or not past[-1].reveals:
        return None
    return model_of(load(past[-1].parent_digest).arrays)


def _published(
    manifest: Manifest,
    client: Address,
    round: int,
    parent: Arrays,
    entries: Sequence[Entry],
    store: Store,
) -> Published:
    """What the member's opponents published in the last round with updates."""
    digest, reveals = last_included(manifest.addresses, entries)
    chosen = draw_opponents(manifest, round, client, [revealed.client for revealed in reveals])
    wanted = [revealed for revealed in reveals if revealed.client in chosen]
    return read_published(store, manifest, parent, digest, wanted)
