"""What the revealed updates of the current round come to: for who announces it, and for who wants to be sure."""

from __future__ import annotations

from chain.types import TaskState
from fl_node.blobs.model import load_model
from fl_node.blobs.store import Store
from fl_node.history.kept import KeptLog
from fl_node.manifest.manifest import Manifest
from fl_node.round.aggregate import Aggregated, aggregate_round


def aggregate_current(
    kept: KeptLog, store: Store, manifest: Manifest, state: TaskState
) -> Aggregated:
    """Combine what was revealed in the round that the members are about to attest to.

    Raises:
        HistoryInvalid: The log does not lead to the state's head (yet).
        BadData: The model that the round starts from is missing or damaged.
        StateUnusable: The kept log cannot be read or written.
        StoreUnusable: The store cannot be read.
    """
    with kept.read_to(state.history_head) as log:
        attempts = log.attempts()
    parent = load_model(store, state.parent_digest, manifest.limits.model_bytes)
    return aggregate_round(store, manifest, parent, attempts.reveals, attempts.abandoned)
