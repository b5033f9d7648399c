"""Steps A4 to A7: what the store holds, held against the digests on chain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from chain.types import Address, TaskState
from fl_node.arrays import Arrays
from fl_node.audit.findings import Findings
from fl_node.blobs.digest import digest_of
from fl_node.blobs.model import Model, decode_model, encode_model, load_model
from fl_node.blobs.store import Store
from fl_node.blobs.tensors import schema_of, size_of
from fl_node.errors import BadData, BlobMissing, BlobOversized, BlobTampered, ManifestInvalid
from fl_node.history.record import RecordedRound, members_in
from fl_node.manifest.agreement import check_agreement
from fl_node.manifest.manifest import MAX_MANIFEST_BYTES, Manifest, parse_manifest
from fl_node.round.aggregate import Aggregated, aggregate_round


@dataclass(frozen=True, slots=True)
class Agreement:
    """What A4 establishes and the later steps build on."""

    manifest: Manifest
    genesis: Model
    blob_bytes: int


def a4_agreement(
    findings: Findings,
    store: Store,
    state: TaskState,
    members: Sequence[Address],
    derive_genesis: Callable[[Manifest], Arrays] | None,
) -> Agreement | None:
    """Manifest and genesis, if both are the recorded blobs; the rules of the later steps come from them."""
    findings.reach("A4")
    name, digest = "manifest", state.manifest_digest
    try:
        manifest = parse_manifest(bytes(store.get(digest, MAX_MANIFEST_BYTES)))
        name, digest = "genesis", state.genesis_digest
        genesis = load_model(store, digest, manifest.limits.model_bytes)
    except BadData as trouble:
        findings.add("A4", f"{name}: {trouble}", digest=digest.hex())
        return None
    for difference in check_agreement(manifest, state.terms, members):
        findings.add(
            "A4",
            f"the manifest's {difference.what} are not those on chain",
            expected=difference.manifest,
            actual=difference.chain,
        )
    if derive_genesis:
        a4_genesis(findings, state.genesis_digest, manifest, derive_genesis)
    blob_bytes = len(manifest.to_bytes()) + size_of(schema_of(genesis.arrays))
    return Agreement(manifest, genesis, blob_bytes)


def a4_genesis(
    findings: Findings,
    recorded: bytes,
    manifest: Manifest,
    derive_genesis: Callable[[Manifest], Arrays],
) -> None:
    """Derive the genesis again. That it cannot be derived is the coordinator's fault, not a reason to stop."""
    try:
        derived = digest_of(encode_model(derive_genesis(manifest)))
    except ManifestInvalid as fault:
        findings.add("A4", f"the genesis cannot be derived: {fault}", actual=recorded.hex())
        return
    if derived != recorded:
        findings.add(
            "A4",
            "the genesis does not follow from the manifest's seed",
            expected=derived.hex(),
            actual=recorded.hex(),
        )


def a5_to_a7(
    findings: Findings,
    store: Store,
    agreement: Agreement | None,
    recorded: Sequence[RecordedRound],
) -> Iterator[tuple[RecordedRound, Aggregated | None]]:
    """Steps A5 to A7, round after round; None beside a round that could not be computed again.

    A round starts from the model before it: where that is in no store and cannot be computed, the rounds after it
    cannot be computed either.
    """
    steps = ("A5", "A6", "A7")
    findings.reach(*steps)
    if agreement is None:
        findings.skip(*steps, because="A4 found no manifest and genesis to compute with")
    elif not recorded:
        findings.skip(*steps, because="no round is final yet")
    parent = agreement.genesis if agreement else None
    for one in recorded:
        aggregated = None
        if agreement and parent:
            aggregated, parent = a5_to_a7_round(findings, store, agreement.manifest, parent, one)
        elif agreement:
            because = "the model that it starts from is lost"
            findings.skip(*steps, because=because, round=one.opened.round)
        yield one, aggregated


def a5_to_a7_round(
    findings: Findings, store: Store, manifest: Manifest, parent: Model, recorded: RecordedRound
) -> tuple[Aggregated, Model | None]:
    """Steps A5 to A7 of one round, in one pass over its blobs.

    Returns:
        What the round comes to today, and the model that the next round starts from: None where neither store nor
        computation give the recorded one.
    """
    aggregated = aggregate_round(store, manifest, parent, recorded.reveals, recorded.abandoned)
    spoilt = a5_blobs(findings, manifest, recorded, aggregated)
    if spoilt:
        because = "an update that counted is missing or tampered (A5)"
        findings.skip("A6", "A7", because=because, round=recorded.opened.round)
    else:
        a6_included(findings, manifest, recorded, aggregated)
    return aggregated, a7_model(findings, store, manifest, recorded, aggregated, spoilt)


SPOILT = (BlobMissing, BlobTampered, BlobOversized)
"""What can have happened to a blob since its round."""


def a5_blobs(
    findings: Findings, manifest: Manifest, recorded: RecordedRound, aggregated: Aggregated
) -> bool:
    """Report included updates whose blobs are not there or altered; say whether there are any.

    A round that left such an update out says the same as the store, and there is nothing to report.
    """
    spoilt = False
    counted = members_in(manifest.addresses, recorded.finalised.included)
    for revealed in recorded.reveals:
        trouble = aggregated.left_out.get(revealed.client)
        if revealed.client in counted and isinstance(trouble, SPOILT):
            spoilt = True
            findings.add(
                "A5",
                str(trouble),
                round=revealed.round,
                client=revealed.client,
                digest=revealed.reveal.update_digest.hex(),
                expected="the update that the round included",
                actual="missing" if isinstance(trouble, BlobMissing) else "tampered",
            )
    return spoilt


def a6_included(
    findings: Findings, manifest: Manifest, recorded: RecordedRound, aggregated: Aggregated
) -> None:
    """Compare the set of updates that the rules include with the recorded one."""
    if aggregated.included != recorded.finalised.included:
        findings.add(
            "A6",
            "by the rules and today's store, other updates count than the round included",
            round=recorded.opened.round,
            expected=_names(manifest.addresses, aggregated.included),
            actual=_names(manifest.addresses, recorded.finalised.included),
        )


def a7_model(
    findings: Findings,
    store: Store,
    manifest: Manifest,
    recorded: RecordedRound,
    aggregated: Aggregated,
    spoilt: bool,
) -> Model | None:
    """Compare the aggregate, computed again, with the stored one, which must have the recorded digest."""
    digest, round = recorded.finalised.aggregate_digest, recorded.opened.round
    model: Model | None = None
    try:
        stored = store.get(digest, manifest.limits.model_bytes)
        model = Model(digest, decode_model(stored))
        same = _same_bytes(stored, aggregated.blob)
    except BadData as trouble:
        findings.add("A7", f"the stored aggregate: {trouble}", round=round, digest=digest.hex())
        same = aggregated.digest == digest
        if same:
            model = Model(digest, decode_model(aggregated.blob))
    if not same and not spoilt:
        findings.add(
            "A7",
            "the aggregate, computed again, has another digest than was recorded",
            round=round,
            digest=digest.hex(),
            expected=aggregated.digest.hex(),
            actual=digest.hex(),
        )
    return model


def _same_bytes(one: memoryview, other: bytes) -> bool:
    """Equality of long buffers, eight bytes at a time; memoryview itself compares them one by one."""
    words = len(one) // 8
    return (
        len(one) == len(other)
        and np.array_equal(np.frombuffer(one, "u8", words), np.frombuffer(other, "u8", words))
        and one[8 * words :] == other[8 * words :]
    )


def _names(members: Sequence[Address], bitmap: int) -> str:
    return ", ".join(members_in(members, bitmap)) or "none"
