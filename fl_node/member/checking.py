"""Computing a final round again, by a node that did not attest to it, before it builds on the result.

A quorum can make any bytes final. Those who attested honestly know what the round came to; everybody else would train
on from whatever is on chain. Only the model's own step is checked: that each included update is valid, and that
together they come to the model. Whether an update was rightly left out, such as one that came into the store too late,
nobody can tell afterwards; the audit says where that may be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chain.types import Address, TaskState
from fl_node.blobs.model import Model
from fl_node.blobs.reader import Reader
from fl_node.errors import BlobMissing, BlobOversized, BlobTampered, ModelDisputed
from fl_node.history.kept import TaskLog
from fl_node.history.record import RecordedRound, members_in
from fl_node.manifest.manifest import Manifest
from fl_node.round.aggregate import Aggregated, aggregate_round

GONE = (BlobMissing, BlobTampered, BlobOversized)
"""What can happen to a blob after its round; nobody is accused for it."""


def round_behind(state: TaskState, log: TaskLog) -> RecordedRound | None:
    """The final round that made the model which the current round starts from; None if that is the genesis.

    Args:
        state: The task as the contract shows it.
        log: The task's log up to that state.
    """
    if state.parent_digest == state.genesis_digest:
        return None
    # If everybody declined a round, its model is that of the round before.
    return next((final for final in log.last_final_rounds() if final.finalised.included), None)


def computed_again(
    manifest: Manifest, reader: Reader, load: Callable[[bytes], Model], recorded: RecordedRound
) -> Aggregated:
    """Combine the updates that a final round included, and compare the result with the recorded one.

    Args:
        manifest: The task.
        reader: Gives the updates.
        load: Gives the model that the round started from.
        recorded: The round.

    Raises:
        ModelDisputed: An included update is invalid, or the result is another model.
        BadData: A blob that the round needs is missing or damaged today; try again later.
        StoreUnusable: The store cannot be read.
    """
    clients = members_in(manifest.addresses, recorded.finalised.included)
    reveals = [revealed for revealed in recorded.reveals if revealed.client in clients]
    aggregated = aggregate_round(reader, manifest, load(recorded.opened.parent_digest), reveals)
    for client, fault in aggregated.left_out.items():
        if isinstance(fault, GONE):
            raise type(fault)(f"the update of {client} in round {recorded.opened.round}: {fault}")
    if aggregated.digest != recorded.finalised.aggregate_digest:
        raise ModelDisputed(_difference(recorded, aggregated, clients))
    return aggregated


def _difference(recorded: RecordedRound, aggregated: Aggregated, clients: Sequence[Address]) -> str:
    faults = "".join(f"; that of {one}: {fault}" for one, fault in aggregated.left_out.items())
    return (
        f"round {recorded.opened.round} is final with a model that its {len(clients)} included updates do not come "
        f"to: expected {aggregated.digest.hex()}, got {recorded.finalised.aggregate_digest.hex()}{faults}; "
        "this node does not train on from it. Run ganchor audit, and talk to the other members"
    )
