"""What members measured in the last rounds, from the chain and the store, as the audit computes it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chain.types import TaskState
from fl_node.blobs.metrics import Metrics, mean_metrics
from fl_node.blobs.model import Model, load_model
from fl_node.blobs.store import Store
from fl_node.errors import BadData, StoreUnusable
from fl_node.history.record import RecordedRound, members_in
from fl_node.manifest.manifest import MAX_MANIFEST_BYTES, Manifest, parse_manifest
from fl_node.round.form import state_objection
from fl_node.round.verdicts import Verdicts


@dataclass(frozen=True, slots=True)
class MeasuredRound:
    """A final round, and the means of its metrics over the included updates, weighted by examples."""

    round: int
    metrics: Metrics


def measured_rounds(
    store: Store, state: TaskState, finals: Iterable[RecordedRound]
) -> list[MeasuredRound]:
    """The means of some final rounds' metrics, for somebody who looks and does not audit.

    A round is left out if one of its included updates is missing or damaged, so that a number that is shown is the
    audit's. Nothing is shown of a task that measures nothing, or whose manifest or genesis cannot be read.

    Args:
        store: Holds the task's blobs. As much is read as the manifest, the genesis and the rounds' updates may have.
        state: The task on chain.
        finals: The rounds.
    """
    try:
        manifest = parse_manifest(bytes(store.get(state.manifest_digest, MAX_MANIFEST_BYTES)))
        if not manifest.learner.metrics:
            return []
        genesis = load_model(store, state.genesis_digest, manifest.limits.model_bytes)
    except (BadData, StoreUnusable):
        return []
    if state_objection(manifest, genesis.arrays):
        return []
    means = (_means(store, manifest, genesis, final) for final in finals)
    return [measured for measured in means if measured]


def _means(
    store: Store, manifest: Manifest, genesis: Model, final: RecordedRound
) -> MeasuredRound | None:
    included = members_in(manifest.addresses, final.finalised.included)
    reveals = [revealed for revealed in final.reveals if revealed.client in included]
    verdicts = Verdicts(store, manifest, Model(final.opened.parent_digest, genesis.arrays))
    try:
        headers = [update.header for update in verdicts.judge(reveals)]
    except StoreUnusable:
        return None
    if len(headers) < len(included):
        return None
    stated = [(header.metrics, header.num_examples) for header in headers]
    return MeasuredRound(final.opened.round, mean_metrics(manifest.learner.metrics, stated))
