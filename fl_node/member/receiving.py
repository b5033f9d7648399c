"""What a member starts a round with besides the parent: as much of the past as the strategy needs."""

from __future__ import annotations

from collections.abc import Callable

from chain.types import Address
from fl_node.arrays import Arrays
from fl_node.blobs.global_state import model_of
from fl_node.blobs.model import Model
from fl_node.blobs.reader import Reader
from fl_node.history.growing_past import GrowingPast, recent_past
from fl_node.history.kept import TaskLog
from fl_node.history.past import Past
from fl_node.history.record import included_in
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
    log: TaskLog,
    past: GrowingPast,
    store: Reader,
    load: Load,
) -> Received:
    """Read what the strategy needs of the past.

    Args:
        manifest: The task, whose strategy needs something of the past.
        client: The member that trains.
        round: The round that it trains in.
        parent: The round's parent.
        log: The task's log up to the current round.
        past: What the member knows of it from before.
        store: Holds the updates of earlier rounds.
        load: Loads the models of earlier rounds.

    Raises:
        StoreUnusable: The store cannot be read.
        BadData: The model that the last round started from is missing or damaged.
    """
    strategy = manifest.strategy
    known = past.up_to(log) if strategy.needs_whole_past else recent_past(manifest.addresses, log)
    return Received(
        parent,
        _previous(known, load) if strategy.needs_previous else None,
        known,
        _published(manifest, client, round, parent, log, store) if strategy.share.publish else {},
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
    log: TaskLog,
    store: Reader,
) -> Published:
    """What the member's opponents published in the last round with updates."""
    for final in log.last_final_rounds():
        if reveals := included_in(manifest.addresses, final):
            break
    else:
        return {}
    chosen = draw_opponents(manifest, round, client, [revealed.client for revealed in reveals])
    wanted = [revealed for revealed in reveals if revealed.client in chosen]
    return read_published(store, manifest, parent, final.opened.parent_digest, wanted)
