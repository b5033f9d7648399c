"""Opening a task: put its manifest and genesis into the store and their digests on chain."""

from __future__ import annotations

from dataclasses import dataclass

from chain.ledger import Ledger
from chain.types import TaskOpened
from fl_node.arrays import Arrays
from fl_node.blobs.model import encode_model
from fl_node.blobs.store import Store
from fl_node.errors import ManifestInvalid
from fl_node.manifest.manifest import MAX_MANIFEST_BYTES, Manifest


@dataclass(frozen=True, slots=True)
class OpenedTask:
    """The result of opening a task: its number, the recorded digests, and the gas it cost."""

    task: int
    manifest_digest: bytes
    genesis_digest: bytes
    block_number: int
    gas_used: int


def open_task(ledger: Ledger, store: Store, manifest: Manifest, genesis: Arrays) -> OpenedTask:
    """Store both blobs, then open the task: in this order nobody sees a task whose blobs are missing.

    Args:
        ledger: The ledger as the coordinator's account sees it.
        store: The store that the members will use.
        manifest: The task.
        genesis: The shared tensors that round 1 starts from.

    Raises:
        ManifestInvalid: The genesis exceeds `limits.model_bytes`, or the manifest exceeds 1 MiB.
        StoreUnusable, CallRejected, ChainUnreachable: Raised by the store and the ledger.
    """
    blob = encode_model(genesis)
    if len(blob) > manifest.limits.model_bytes:
        raise ManifestInvalid(
            f"manifest: limits.model_bytes is {manifest.limits.model_bytes}, "
            f"but the model has {len(blob)} bytes"
        )
    text = manifest.to_bytes()
    if len(text) > MAX_MANIFEST_BYTES:
        raise ManifestInvalid(
            f"manifest: {len(text)} bytes in canonical form, at most {MAX_MANIFEST_BYTES} are allowed"
        )
    genesis_digest = store.put(blob)
    manifest_digest = store.put(text)
    receipt = ledger.open_task(
        manifest_digest, genesis_digest, manifest.addresses, manifest.terms()
    )
    number = next(
        entry.event.task for entry in receipt.entries if isinstance(entry.event, TaskOpened)
    )
    return OpenedTask(
        number, manifest_digest, genesis_digest, receipt.block_number, receipt.gas_used
    )
