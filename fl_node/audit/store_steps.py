"""Steps A4 to A7: check what the store holds against the digests on chain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from chain.types import Address, TaskState
from fl_node.arrays import Arrays
from fl_node.audit.findings import Findings
from fl_node.blobs.digest import digest_of
from fl_node.blobs.model import Model, decode_model, encode_model, load_model
from fl_node.blobs.reader import Reader
from fl_node.blobs.tensors import schema_of, size_of
from fl_node.errors import BadData, BlobMissing, BlobOversized, BlobTampered, ManifestInvalid
from fl_node.history.record import RecordedRound, members_in
from fl_node.manifest.agreement import check_agreement
from fl_node.manifest.manifest import MAX_MANIFEST_BYTES, Manifest, parse_manifest
from fl_node.round.aggregate import Aggregated, aggregate_round
from fl_node.round.form import state_objection


@dataclass(frozen=True, slots=True)
class Agreement:
    """What A4 verifies and the later steps build on."""

    manifest: Manifest
    genesis: Model
    blob_bytes: int


def a4_agreement(
    findings: Findings,
    store: Reader,
    state: TaskState,
    members: Sequence[Address],
    derive_genesis: Callable[[Manifest], Arrays] | None,
) -> Agreement | None:
    """Manifest and genesis if both are the recorded blobs, else None. The later steps take their rules from them."""
    findings.reach("A4")
    name, digest = "manifest", state.manifest_digest
    try:
        manifest = parse_manifest(bytes(store.get(digest, MAX_MANIFEST_BYTES)))
        name, digest = "genesis", state.genesis_digest
        genesis = load_model(store, digest, manifest.limits.model_bytes)
    except BadData as error:
        findings.add("A4", f"{name}: {error}", digest=digest.hex())
        return None
    for difference in check_agreement(manifest, state.terms, members):
        findings.add(
            "A4",
            f"the manifest's {difference.what} differ from those on chain",
            expected=difference.manifest,
            actual=difference.chain,
        )
    if derive_genesis:
        a4_genesis(findings, state.genesis_digest, manifest, derive_genesis)
    if objection := state_objection(manifest, genesis.arrays):
        findings.add("A4", f"no round can start from the genesis: {objection}", digest=digest.hex())
        return None
    blob_bytes = len(manifest.to_bytes()) + size_of(schema_of(genesis.arrays))
    return Agreement(manifest, genesis, blob_bytes)


def a4_genesis(
    findings: Findings,
    recorded: bytes,
    manifest: Manifest,
    derive_genesis: Callable[[Manifest], Arrays],
) -> None:
    """Derive the genesis again. A genesis that cannot be derived is a finding and does not end the audit."""
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
    store: Reader,
    agreement: Agreement | None,
    recorded: Iterable[RecordedRound],
) -> Iterator[tuple[RecordedRound, Aggregated | None]]:
    """Run steps A5 to A7 round by round; yields None with a round that could not be recomputed.

    A round starts from the model before it. If that model is not in the store and cannot be recomputed, neither can
    any later round.
    """
    steps = ("A5", "A6", "A7")
    findings.reach(*steps)
    if agreement is None:
        findings.skip(*steps, because="A4 found no manifest and genesis to compute with")
    parent = agreement.genesis if agreement else None
    round = None
    for round in recorded:
        aggregated = None
        if agreement and parent:
            aggregated, parent = a5_to_a7_round(findings, store, agreement.manifest, parent, round)
        elif agreement:
            because = "the model that it starts from is missing or unfit"
            findings.skip(*steps, because=because, round=round.opened.round)
        yield round, aggregated
    if agreement and round is None:
        findings.skip(*steps, because="no round is final yet")


def a5_to_a7_round(
    findings: Findings, store: Reader, manifest: Manifest, parent: Model, recorded: RecordedRound
) -> tuple[Aggregated, Model | None]:
    """Run steps A5 to A7 on one round, in one pass over its blobs.

    Returns:
        The round's recomputed result, and the model that the next round starts from: None if neither the store nor
        the recomputation gives the recorded one.
    """
    aggregated = aggregate_round(store, manifest, parent, recorded.reveals, recorded.abandoned)
    damaged = a5_blobs(findings, manifest, recorded, aggregated)
    if damaged:
        because = "an included update is missing or tampered with (A5)"
        findings.skip("A6", "A7", because=because, round=recorded.opened.round)
    else:
        a6_included(findings, manifest, recorded, aggregated)
    model = a7_model(findings, store, manifest, recorded, aggregated, damaged)
    return aggregated, a7_unbroken(findings, parent, recorded, model)


DAMAGED = (BlobMissing, BlobTampered, BlobOversized)
"""What can happen to a blob after its round."""


def a5_blobs(
    findings: Findings, manifest: Manifest, recorded: RecordedRound, aggregated: Aggregated
) -> bool:
    """Report included updates whose blobs are missing or altered; return whether there are any.

    If the round left such an update out, chain and store agree and there is nothing to report.
    """
    damaged = False
    counted = members_in(manifest.addresses, recorded.finalised.included)
    for revealed in recorded.reveals:
        reason = aggregated.left_out.get(revealed.client)
        if revealed.client in counted and isinstance(reason, DAMAGED):
            damaged = True
            findings.add(
                "A5",
                str(reason),
                round=revealed.round,
                client=revealed.client,
                digest=revealed.reveal.update_digest.hex(),
                expected="the update that the round included",
                actual="missing" if isinstance(reason, BlobMissing) else "tampered",
            )
    return damaged


def a6_included(
    findings: Findings, manifest: Manifest, recorded: RecordedRound, aggregated: Aggregated
) -> None:
    """Compare the set of updates that the validity rules include with the recorded set."""
    if aggregated.included != recorded.finalised.included:
        findings.add(
            "A6",
            "the validity rules include other updates than the round did",
            round=recorded.opened.round,
            expected=_names(manifest.addresses, aggregated.included),
            actual=_names(manifest.addresses, recorded.finalised.included),
        )


def a7_model(
    findings: Findings,
    store: Reader,
    manifest: Manifest,
    recorded: RecordedRound,
    aggregated: Aggregated,
    damaged: bool,
) -> Model | None:
    """Compare the recomputed aggregate with the stored one, which must have the recorded digest."""
    digest, round = recorded.finalised.aggregate_digest, recorded.opened.round
    model: Model | None = None
    try:
        stored = store.get(digest, manifest.limits.model_bytes)
        model = Model(digest, decode_model(stored))
        same = _same_bytes(stored, aggregated.blob)
    except BadData as error:
        findings.add("A7", f"the stored aggregate: {error}", round=round, digest=digest.hex())
        same = aggregated.digest == digest
        if same:
            model = Model(digest, decode_model(aggregated.blob))
    if not same and not damaged:
        findings.add(
            "A7",
            "the recomputed aggregate does not have the recorded digest",
            round=round,
            digest=digest.hex(),
            expected=aggregated.digest.hex(),
            actual=digest.hex(),
        )
    return model


def a7_unbroken(
    findings: Findings, parent: Model, recorded: RecordedRound, model: Model | None
) -> Model | None:
    """The round's model, if the next round can start from it: a quorum can make any bytes final."""
    if model is None or schema_of(model.arrays) == schema_of(parent.arrays):
        return model
    findings.add(
        "A7",
        "the recorded aggregate has other tensors than the model before it",
        round=recorded.opened.round,
        digest=model.digest.hex(),
    )
    return None


def _same_bytes(left: memoryview, right: bytes) -> bool:
    """Compare long buffers eight bytes at a time; memoryview compares them byte by byte."""
    words = len(left) // 8
    return (
        len(left) == len(right)
        and np.array_equal(np.frombuffer(left, "u8", words), np.frombuffer(right, "u8", words))
        and left[8 * words :] == right[8 * words :]
    )


def _names(members: Sequence[Address], bitmap: int) -> str:
    return ", ".join(members_in(members, bitmap)) or "none"
