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
from fl_node.errors import BadData, UpdateInvalid
from fl_node.manifest import Manifest
from fl_node.store import Store
from fl_node.tensors import Schema, payload_of, schema_of
from fl_node.validity import verify_update

BEGINNING_BYTES = 4096
"""Enough of an update's content to tell it from almost any other."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model and its name: the shared tensors, and the sha256 of their blob."""

    digest: bytes
    arrays: Arrays


def load_model(store: Store, digest: bytes, max_bytes: int) -> Model:
    """Read a model from the store.

    Raises:
        BadData: It is missing, longer than `max_bytes`, altered, or no model.
        StoreUnusable: The store cannot be read.
    """
    return Model(digest, decode_model(store.get(digest, max_bytes)))


@dataclass(frozen=True, slots=True)
class Aggregated:
    """What a round comes to.

    Attributes:
        blob: The next model, encoded.
        included: Bitmap of the members whose updates are in it.
        left_out: The others who revealed, and what is wrong with their updates.
        blob_bytes: Of the parent and the included updates: what was read, hashed and added up.
    """

    blob: bytes
    included: int
    left_out: dict[Address, BadData]
    blob_bytes: int

    @property
    def digest(self) -> bytes:
        """The next model's name; hashes the blob."""
        return digest_of(self.blob)


@dataclass(frozen=True, slots=True)
class _Round:
    """What every update of the round is held against."""

    store: Store
    manifest: Manifest
    parent: Model
    schema: Schema

    def expected(self, revealed: UpdateRevealed) -> UpdateHeader:
        return UpdateHeader(
            task=revealed.task,
            round=revealed.round,
            client=revealed.client,
            parent_digest=self.parent.digest,
            num_examples=revealed.reveal.num_examples,
            codec=self.manifest.strategy.encode,
        )

    def size(self, revealed: UpdateRevealed) -> int:
        return update_size(self.expected(revealed), self.schema)

    def blob(self, revealed: UpdateRevealed) -> memoryview:
        return self.store.get(revealed.reveal.update_digest, self.size(revealed))

    def verified(self, revealed: UpdateRevealed) -> tuple[Update, bytes]:
        """The update and how its content begins, if it keeps every rule that needs no other."""
        if revealed.client not in self.manifest.addresses:
            raise UpdateInvalid("member", "a member of the manifest", revealed.client)
        blob = self.blob(revealed)
        update = decode_update(blob)
        verify_update(update, self.expected(revealed), self.schema, self.manifest.limits)
        return update, bytes(payload_of(blob)[:BEGINNING_BYTES])


def aggregate_round(
    store: Store,
    manifest: Manifest,
    parent: Model,
    reveals: Sequence[UpdateRevealed],
    abandoned: Sequence[UpdateRevealed] = (),
) -> Aggregated:
    """Fetch the revealed updates, leave out the invalid ones, combine the others with the parent.

    The updates pass through memory one at a time. With no valid update the result is the parent.

    Args:
        store: Holds the updates.
        manifest: Gives the members, the limits, the encoding and the rule of combination.
        parent: The model that the round started from.
        reveals: The round's, each client once, in the order of the log: of updates with the same
            content, the one that was revealed first counts.
        abandoned: Reveals of the round's aborted attempts, in the order of the log. They are not
            combined; but whoever repeats one that is another's is left out.

    Raises:
        StoreUnusable: The store cannot be read; no client is blamed for that.
    """
    round = _Round(store, manifest, parent, schema_of(parent.arrays))
    combine = COMBINE[manifest.strategy.combine]
    ordered = sorted(reveals, key=lambda revealed: int(revealed.client, 16))
    beginnings: dict[UpdateRevealed, bytes] = {}
    left_out: dict[Address, BadData] = {}
    model = combine(parent.arrays, _valid(round, ordered, beginnings, left_out))
    for _ in _valid(round, abandoned, beginnings, {}):
        pass
    found = _find_repeats(round, [*abandoned, *reveals], beginnings)
    repeats = {one.client: fault for one, fault in found.items() if one in reveals}
    if repeats:
        left_out.update(repeats)
        # Only a cheat costs this second pass; without one, every update is read once.
        kept = [revealed for revealed in ordered if revealed.client not in left_out]
        model = combine(parent.arrays, _valid(round, kept, beginnings, left_out))
    blob = encode_model(model)
    included = [revealed for revealed in ordered if revealed.client not in left_out]
    return Aggregated(
        blob=blob,
        included=sum(1 << manifest.addresses.index(revealed.client) for revealed in included),
        left_out=left_out,
        blob_bytes=len(blob) + sum(map(round.size, included)),
    )


def _valid(
    round: _Round,
    reveals: Iterable[UpdateRevealed],
    beginnings: dict[UpdateRevealed, bytes],
    left_out: dict[Address, BadData],
) -> Iterator[Update]:
    """Yield the valid updates one by one.

    Notes how the content of these begins, and the faults of the others.
    """
    for revealed in reveals:
        try:
            update, beginnings[revealed] = round.verified(revealed)
        except BadData as fault:
            left_out[revealed.client] = fault
        else:
            yield update


def _find_repeats(
    round: _Round, reveals: Sequence[UpdateRevealed], beginnings: dict[UpdateRevealed, bytes]
) -> dict[UpdateRevealed, BadData]:
    """Valid updates with the content of one that another client revealed before.

    Equal content begins equally, so that hashing the content alone is seldom needed. A client that
    sends its own update again, after an abort, repeats nobody.
    """
    shared = {start for start, count in Counter(beginnings.values()).items() if count > 1}
    first: dict[bytes, Address] = {}
    repeats: dict[UpdateRevealed, BadData] = {}
    for revealed in reveals:
        if beginnings.get(revealed) in shared:
            content = digest_of(payload_of(round.blob(revealed)))
            original = first.setdefault(content, revealed.client)
            if original != revealed.client:
                repeats[revealed] = UpdateInvalid("repeat", "new content", f"{original}'s")
    return repeats
