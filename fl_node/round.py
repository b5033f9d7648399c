"""One round's arithmetic, from what the chain recorded to the next model.

Participants, the simulation and the audit all call `aggregate_round`, so that what is attested,
what is simulated and what is audited cannot differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from chain.types import Address, UpdateRevealed
from fl_node.aggregation import COMBINE
from fl_node.arrays import Arrays
from fl_node.encoding import (
    Update,
    UpdateHeader,
    decode_model,
    decode_update,
    digest_of,
    encode_model,
    update_size,
)
from fl_node.errors import BadData, BlobMalformed, UpdateInvalid
from fl_node.manifest import Manifest
from fl_node.store import Store
from fl_node.tensors import Schema, payload_of, schema_of
from fl_node.validity import verify_update


@dataclass(frozen=True, slots=True)
class Aggregated:
    """What a round comes to.

    Attributes:
        blob: The next model, encoded.
        digest: Its sha256.
        included: Bitmap of the members whose updates are in it.
        left_out: The others who revealed, and what is wrong with their updates.
        blob_bytes: Of the parent and the included updates: what was read, hashed and added up.
    """

    blob: bytes
    digest: bytes
    included: int
    left_out: dict[Address, BadData]
    blob_bytes: int


@dataclass(frozen=True, slots=True)
class _Round:
    """What every update of the round is held against."""

    store: Store
    manifest: Manifest
    schema: Schema
    parent_digest: bytes

    def parent(self) -> Arrays:
        blob = self.store.get(self.parent_digest, self.manifest.limits.model_bytes)
        parent = decode_model(blob)
        if schema_of(parent) != self.schema:
            raise BlobMalformed(f"model {self.parent_digest.hex()} has other tensors than the task")
        return parent

    def expected(self, revealed: UpdateRevealed) -> UpdateHeader:
        return UpdateHeader(
            task=revealed.task,
            round=revealed.round,
            client=revealed.client,
            parent_digest=self.parent_digest,
            num_examples=revealed.reveal.num_examples,
            codec=self.manifest.strategy.encode,
        )

    def size(self, revealed: UpdateRevealed) -> int:
        return update_size(self.expected(revealed), self.schema)

    def blob(self, revealed: UpdateRevealed) -> memoryview:
        return self.store.get(revealed.reveal.update_digest, self.size(revealed))

    def verified(self, revealed: UpdateRevealed) -> tuple[Update, float]:
        """The update and its norm, if it keeps every rule that needs no other update."""
        if revealed.client not in self.manifest.addresses:
            raise UpdateInvalid("member", "a member of the manifest", revealed.client)
        update = decode_update(self.blob(revealed))
        expected, limits = self.expected(revealed), self.manifest.limits
        return update, verify_update(update, expected, self.schema, limits)


def aggregate_round(
    store: Store,
    manifest: Manifest,
    schema: Schema,
    parent_digest: bytes,
    reveals: Sequence[UpdateRevealed],
) -> Aggregated:
    """Fetch the revealed updates, leave out the invalid ones, combine the others with the parent.

    The updates pass through memory one at a time. With no valid update the result is the parent.

    Args:
        store: Holds the parent and the updates.
        manifest: Gives the members, the limits, the encoding and the rule of combination.
        schema: Of the shared model, as the genesis has it.
        parent_digest: Of the model that the round started from.
        reveals: The round's, each client once, in the order of the log: of updates with the same
            content, the one that was revealed first counts.

    Raises:
        BadData: The parent cannot be had, or is no model of this task.
        StoreUnusable: The store cannot be read; no client is blamed for that.
    """
    round = _Round(store, manifest, schema, parent_digest)
    parent, combine = round.parent(), COMBINE[manifest.strategy.combine]
    ordered = sorted(reveals, key=lambda revealed: int(revealed.client, 16))
    norms: dict[Address, float] = {}
    left_out: dict[Address, BadData] = {}
    model = combine(parent, _valid(round, ordered, norms, left_out))
    repeats = _find_repeats(round, reveals, norms)
    if repeats:
        # Only a cheat costs this second pass; without one, every update is read once.
        left_out.update(repeats)
        kept = [revealed for revealed in ordered if revealed.client not in left_out]
        model = combine(parent, _valid(round, kept, norms, left_out))
    blob = encode_model(model)
    included = [revealed for revealed in ordered if revealed.client not in left_out]
    return Aggregated(
        blob=blob,
        digest=digest_of(blob),
        included=sum(1 << manifest.addresses.index(revealed.client) for revealed in included),
        left_out=left_out,
        blob_bytes=len(blob) + sum(map(round.size, included)),
    )


def _valid(
    round: _Round,
    reveals: Iterable[UpdateRevealed],
    norms: dict[Address, float],
    left_out: dict[Address, BadData],
) -> Iterator[Update]:
    """Yield the valid updates one by one; note the norms of these and the faults of the others."""
    for revealed in reveals:
        try:
            update, norms[revealed.client] = round.verified(revealed)
        except BadData as fault:
            left_out[revealed.client] = fault
        else:
            yield update


def _find_repeats(
    round: _Round, reveals: Sequence[UpdateRevealed], norms: dict[Address, float]
) -> dict[Address, BadData]:
    """Valid updates with the content of one revealed before.

    Equal content has equal norms, so that hashing the content alone is seldom needed.
    """
    shared = {norm for norm, count in Counter(norms.values()).items() if count > 1}
    first: dict[bytes, Address] = {}
    repeats: dict[Address, BadData] = {}
    for revealed in reveals:
        if norms.get(revealed.client) in shared:
            content = digest_of(payload_of(round.blob(revealed)))
            original = first.setdefault(content, revealed.client)
            if original != revealed.client:
                repeats[revealed.client] = UpdateInvalid("repeat", "new content", f"{original}'s")
    return repeats
