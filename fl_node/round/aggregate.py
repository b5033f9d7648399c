"""Aggregation of one round, from what the chain recorded to the next model.

Participants, the simulation and the audit all call `aggregate_round`, so attested, simulated and audited results cannot
differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chain.types import Address, UpdateRevealed, address_number
from fl_node.arrays import Array, Arrays, unprefixed
from fl_node.blobs.digest import digest_of
from fl_node.blobs.encoding import Update
from fl_node.blobs.global_state import model_of, named_in_slot, slot_of
from fl_node.blobs.metrics import Metrics
from fl_node.blobs.model import Model, encode_model
from fl_node.blobs.reader import Reader
from fl_node.errors import BadData
from fl_node.manifest.manifest import Manifest
from fl_node.round.verdicts import Valid, Verdicts
from fl_node.strategy.combine import COMBINE
from fl_node.strategy.combine.derived import derive_averages, never_negative
from fl_node.strategy.train import TRAIN


@dataclass(frozen=True, slots=True)
class Aggregated:
    """The result of a round.

    Attributes:
        blob: The next model, encoded.
        included: Bitmap of the members whose updates are included.
        left_out: The other members that revealed, and what is wrong with their updates.
        blob_bytes: Total size of the blobs that were aggregated: the parent, which is as large as the next model, and
            the included updates.
        metrics: What each included client measured, in ascending order of client.
    """

    blob: bytes
    included: int
    left_out: dict[Address, BadData]
    blob_bytes: int
    metrics: dict[Address, Metrics]

    @property
    def digest(self) -> bytes:
        """The next model's digest. Hashes the blob on every call."""
        return digest_of(self.blob)


def aggregate_round(
    store: Reader,
    manifest: Manifest,
    parent: Model,
    reveals: Sequence[UpdateRevealed],
    abandoned: Sequence[UpdateRevealed] = (),
) -> Aggregated:
    """Fetch the revealed updates, leave out the invalid ones, and combine the others with the parent.

    Most rules hold one update in memory at a time. If no update is valid, the result is the parent.

    Args:
        store: Holds the updates.
        manifest: Gives the members, the limits, the codecs and the aggregation rule.
        parent: The model that the round started from.
        reveals: The round's reveals, one for each client, in the order of the log. If several updates have the same
            content, only the first one counts.
        abandoned: Reveals of the round's aborted attempts, in the order of the log. They are not
            combined, but a client that repeats another client's update from among them is left out.

    Raises:
        StoreUnusable: The store cannot be read, or lost an update during the aggregation; no client is blamed for that.
    """
    ordered = sorted(reveals, key=lambda revealed: address_number(revealed.client))
    verdicts = Verdicts(store, manifest, parent)
    # What nothing below moves stays as it was.
    state = dict(parent.arrays) | _combine(manifest, parent, verdicts.judge(ordered))
    for _ in verdicts.judge(abandoned):
        pass  # not combined; judged so that copies of them are found
    faults: dict[UpdateRevealed, BadData] = {
        revealed: fault for revealed in ordered if isinstance(fault := verdicts[revealed], BadData)
    }
    repeats = verdicts.repeats([*abandoned, *reveals]).items()
    copies = {revealed: fault for revealed, fault in repeats if revealed in reveals}
    faults |= copies
    included = [revealed for revealed in ordered if revealed not in faults]
    if copies:
        # This second pass is needed only if there is a copy; otherwise every update is read once.
        state |= _combine(manifest, parent, verdicts.read_again(included))
    for slot in TRAIN[type(manifest.strategy.train)].slots:
        state |= _advance(manifest, parent, slot, verdicts.read_again(included))
    valid = {revealed.client: _valid(verdicts, revealed) for revealed in included}
    kept = list(valid.values())
    if kept:
        state |= never_negative(manifest.roles, model_of(state))
        state |= _averages(manifest, parent, state, [one.steps for one in kept])
    blob = encode_model(state)
    return Aggregated(
        blob=blob,
        included=sum(1 << manifest.addresses.index(revealed.client) for revealed in included),
        left_out={revealed.client: fault for revealed, fault in faults.items()},
        blob_bytes=len(blob) + sum(one.blob_bytes for one in kept),
        metrics={client: one.metrics for client, one in valid.items()},
    )


def _combine(manifest: Manifest, parent: Model, updates: Iterable[Update]) -> dict[str, Array]:
    """The next weights and statistics, and the aggregation rule's next state."""
    knobs, roles = manifest.strategy.combine, manifest.roles
    rule, model = COMBINE[type(knobs)], model_of(parent.arrays)
    statistics = roles.only("statistic", model)
    moved = {**roles.only("weight", model), **statistics}
    for slot in rule.slots:
        moved |= named_in_slot(slot, slot_of(parent.arrays, slot))
    return rule.combine(knobs, moved, updates, statistics)


def _advance(
    manifest: Manifest, parent: Model, slot: str, updates: Iterable[Update]
) -> dict[str, Array]:
    """The next state of a slot that is sent with the updates. This takes one more pass over them."""
    train = manifest.strategy.train
    advance = TRAIN[type(train)].advance
    changes = (unprefixed(f"{slot}.", update.arrays) for update in updates)
    advanced = advance(train, slot_of(parent.arrays, slot), changes, len(manifest.members))
    return named_in_slot(slot, advanced)


def _averages(
    manifest: Manifest, parent: Model, state: Arrays, steps: Sequence[int]
) -> dict[str, Array]:
    """The averages of the next model."""
    averages = manifest.roles.only("average", model_of(parent.arrays))
    return derive_averages(manifest.roles, averages, state, steps)


def _valid(verdicts: Verdicts, revealed: UpdateRevealed) -> Valid:
    verdict = verdicts[revealed]
    assert isinstance(verdict, Valid)  # included updates are valid
    return verdict
