"""One round's arithmetic, from what the chain recorded to the next model.

Participants, the simulation and the audit all call `aggregate_round`, so that what is attested,
what is simulated and what is audited cannot differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from chain.types import Address, UpdateRevealed
from fl_node.arrays import Array, unprefixed
from fl_node.blobs.digest import Blob, digest_of
from fl_node.blobs.encoding import Update, UpdateHeader, decode_update, encoding_seed, update_size
from fl_node.blobs.global_state import model_of, named_in_slot, part_of, slot_of, update_schema
from fl_node.blobs.model import Model, encode_model
from fl_node.blobs.store import Store
from fl_node.blobs.tensors import Schema, payload_of, schema_of
from fl_node.errors import BadData, UpdateInvalid
from fl_node.manifest.manifest import Manifest
from fl_node.round.validity import verify_update
from fl_node.strategy.combine import COMBINE
from fl_node.strategy.encode import encoded_schema
from fl_node.strategy.train import TRAIN

BEGINNING_BYTES = 4096
"""Enough of an update's content to tell it from almost any other."""


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
        manifest = self.manifest
        return UpdateHeader(
            task=revealed.task,
            round=revealed.round,
            client=revealed.client,
            parent_digest=self.parent.digest,
            num_examples=revealed.reveal.num_examples,
            steps=manifest.limits.steps,
            codec=manifest.strategy.encode.label,
            seed=encoding_seed(manifest.seed, revealed.round, revealed.client),
        )

    def blob(self, revealed: UpdateRevealed) -> memoryview:
        encoded = encoded_schema(self.manifest.strategy.encode.stages, self.schema)
        most = update_size(self.expected(revealed), encoded)
        return self.store.get(revealed.reveal.update_digest, most)

    def verified(self, revealed: UpdateRevealed, blob: Blob) -> Update:
        """The update, if it keeps every rule that needs no other."""
        manifest = self.manifest
        encode, limits = manifest.strategy.encode, manifest.limits
        return verify_update(
            decode_update(blob), self.expected(revealed), encode, self.schema, limits
        )


def _round(store: Store, manifest: Manifest, parent: Model) -> _Round:
    sent = TRAIN[type(manifest.strategy.train)].slots
    return _Round(store, manifest, parent, update_schema(schema_of(model_of(parent.arrays)), sent))


@dataclass(frozen=True, slots=True)
class _Seen:
    """How a valid update's content begins, and how many bytes its blob has."""

    beginning: bytes
    blob_bytes: int


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
    round = _round(store, manifest, parent)
    ordered = sorted(reveals, key=lambda revealed: int(revealed.client, 16))
    seen: dict[UpdateRevealed, _Seen] = {}
    left_out: dict[Address, BadData] = {}
    state = _combine(round, _valid(round, ordered, seen, left_out))
    for _ in _valid(round, abandoned, seen, {}):
        pass
    found = _find_repeats(round, [*abandoned, *reveals], seen)
    repeats = {one.client: fault for one, fault in found.items() if one in reveals}
    left_out.update(repeats)
    included = [revealed for revealed in ordered if revealed.client not in left_out]
    if repeats:
        # Only a cheat costs this second pass; without one, every update is read once.
        state = _combine(round, _valid(round, included, seen, left_out))
    for slot in TRAIN[type(manifest.strategy.train)].slots:
        state |= _advance(round, slot, _valid(round, included, seen, left_out))
    blob = encode_model(state)
    return Aggregated(
        blob=blob,
        included=sum(1 << manifest.addresses.index(revealed.client) for revealed in included),
        left_out=left_out,
        blob_bytes=len(blob) + sum(seen[revealed].blob_bytes for revealed in included),
    )


def _combine(round: _Round, updates: Iterator[Update]) -> dict[str, Array]:
    """The next model, and the state that the rule of combination keeps."""
    knobs = round.manifest.strategy.combine
    rule = COMBINE[type(knobs)]
    return rule.combine(knobs, part_of(round.parent.arrays, rule.slots), updates)


def _advance(round: _Round, slot: str, updates: Iterator[Update]) -> dict[str, Array]:
    """The next state of a slot that travels in the updates, which costs one more pass over them."""
    advance = TRAIN[type(round.manifest.strategy.train)].advance
    changes = (unprefixed(f"{slot}.", update.arrays) for update in updates)
    members = len(round.manifest.members)
    return named_in_slot(slot, advance(slot_of(round.parent.arrays, slot), changes, members))


def _valid(
    round: _Round,
    reveals: Iterable[UpdateRevealed],
    seen: dict[UpdateRevealed, _Seen],
    left_out: dict[Address, BadData],
) -> Iterator[Update]:
    """Yield the valid updates one by one.

    Notes what was seen of these, and the faults of the others.
    """
    for revealed in reveals:
        try:
            if revealed.client not in round.manifest.addresses:
                raise UpdateInvalid("member", "a member of the manifest", revealed.client)
            blob = round.blob(revealed)
            update = round.verified(revealed, blob)
        except BadData as fault:
            left_out[revealed.client] = fault
        else:
            seen[revealed] = _Seen(bytes(payload_of(blob)[:BEGINNING_BYTES]), len(blob))
            yield update


def _find_repeats(
    round: _Round, reveals: Sequence[UpdateRevealed], seen: dict[UpdateRevealed, _Seen]
) -> dict[UpdateRevealed, BadData]:
    """Valid updates with the content of one that another client revealed before.

    Equal content begins equally, so that hashing the content alone is seldom needed. A client that
    sends its own update again, after an abort, repeats nobody.
    """
    beginnings = Counter(one.beginning for one in seen.values())
    shared = {beginning for beginning, count in beginnings.items() if count > 1}
    first: dict[bytes, Address] = {}
    repeats: dict[UpdateRevealed, BadData] = {}
    for revealed in reveals:
        if revealed in seen and seen[revealed].beginning in shared:
            content = digest_of(payload_of(round.blob(revealed)))
            original = first.setdefault(content, revealed.client)
            if original != revealed.client:
                repeats[revealed] = UpdateInvalid("repeat", "new content", f"{original}'s")
    return repeats
