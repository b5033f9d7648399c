"""Steps A4 to A7: what the store holds, held against the digests on chain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chain.types import Address, TaskState
from fl_node.arrays import Arrays
from fl_node.audit.findings import Findings
from fl_node.encoding import decode_model, digest_of, encode_model
from fl_node.errors import BadData, BlobMissing, BlobTampered
from fl_node.manifest import MAX_MANIFEST_BYTES, Manifest, parse_manifest
from fl_node.record import RecordedRound, chosen
from fl_node.round import Aggregated, aggregate_round
from fl_node.store import Store
from fl_node.tensors import Schema, schema_of


@dataclass(frozen=True, slots=True)
class Agreement:
    """What A4 establishes and the later steps build on."""

    manifest: Manifest
    schema: Schema


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
        genesis = decode_model(store.get(digest, manifest.limits.model_bytes))
    except BadData as trouble:
        findings.add("A4", f"{name}: {trouble}", digest=digest.hex())
        return None
    if manifest.terms() != state.terms:
        findings.add(
            "A4",
            "the manifest's terms are not those on chain",
            expected=str(manifest.terms()),
            actual=str(state.terms),
        )
    if manifest.addresses != tuple(members):
        findings.add(
            "A4",
            "the manifest's members are not those on chain",
            expected=", ".join(manifest.addresses),
            actual=", ".join(members),
        )
    if derive_genesis:
        derived = digest_of(encode_model(derive_genesis(manifest)))
        if derived != state.genesis_digest:
            findings.add(
                "A4",
                "the genesis does not follow from the manifest's seed",
                expected=derived.hex(),
                actual=state.genesis_digest.hex(),
            )
    return Agreement(manifest, schema_of(genesis))


def a5_to_a7_updates(
    findings: Findings, store: Store, agreement: Agreement, recorded: RecordedRound
) -> Aggregated | None:
    """Steps A5 to A7 of one round, in one pass over its blobs; None where its parent cannot be had."""
    findings.reach("A5", "A6", "A7")
    final, round, parent = recorded.finalised, recorded.opened.round, recorded.opened.parent_digest
    try:
        aggregated = aggregate_round(
            store, agreement.manifest, agreement.schema, parent, recorded.reveals
        )
    except BadData as trouble:
        findings.add("A7", f"the round's parent model: {trouble}", round=round, digest=parent.hex())
        return None
    spoilt = a5_blobs(findings, agreement.manifest, recorded, aggregated)
    if aggregated.included != final.included and not spoilt:
        findings.add(
            "A6",
            "the validity rules include other updates than the round did",
            round=round,
            expected=_names(agreement.manifest.addresses, aggregated.included),
            actual=_names(agreement.manifest.addresses, final.included),
        )
    if aggregated.digest != final.aggregate_digest and not spoilt:
        findings.add(
            "A7",
            "the aggregate, computed again, has another digest than was recorded",
            round=round,
            digest=final.aggregate_digest.hex(),
            expected=aggregated.digest.hex(),
            actual=final.aggregate_digest.hex(),
        )
    a7_stored_aggregate(findings, store, agreement.manifest, recorded)
    return aggregated


def a5_blobs(
    findings: Findings, manifest: Manifest, recorded: RecordedRound, aggregated: Aggregated
) -> bool:
    """Report included updates whose blobs are not there or altered; say whether there are any.

    A round that left such an update out says the same as the store, and there is nothing to report.
    """
    spoilt = False
    counted = chosen(manifest.addresses, recorded.finalised.included)
    for revealed in recorded.reveals:
        trouble = aggregated.left_out.get(revealed.client)
        if revealed.client in counted and isinstance(trouble, BlobMissing | BlobTampered):
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


def a7_stored_aggregate(
    findings: Findings, store: Store, manifest: Manifest, recorded: RecordedRound
) -> None:
    digest = recorded.finalised.aggregate_digest
    try:
        store.get(digest, manifest.limits.model_bytes)
    except BadData as trouble:
        findings.add(
            "A7",
            f"the stored aggregate: {trouble}",
            round=recorded.opened.round,
            digest=digest.hex(),
        )


def _names(members: Sequence[Address], bitmap: int) -> str:
    return ", ".join(chosen(members, bitmap)) or "none"
