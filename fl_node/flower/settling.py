"""What the revealed updates of the current round come to: for who announces it, and for who wants to be sure."""

from __future__ import annotations

from chain.ledger import Ledger
from chain.types import TaskState
from fl_node.blobs.model import load_model
from fl_node.blobs.store import Store
from fl_node.history.record import attempts_of_current_round, members_in, verify_complete
from fl_node.manifest.manifest import Manifest
from fl_node.round.aggregate import Aggregated, aggregate_round


def aggregate_current(
    ledger: Ledger, store: Store, manifest: Manifest, task: int, state: TaskState
) -> Aggregated:
    """Combine what was revealed in the round that the members are about to attest to.

    Raises:
        HistoryInvalid: The log lags behind the state.
        BadData: The model that the round starts from is missing or damaged.
        StoreUnusable: The store cannot be read.
    """
    attempts = attempts_of_current_round(ledger.history(task))
    verify_complete(attempts, members_in(manifest.addresses, state.revealed))
    parent = load_model(store, state.parent_digest, manifest.limits.model_bytes)
    return aggregate_round(store, manifest, parent, attempts.reveals, attempts.abandoned)
