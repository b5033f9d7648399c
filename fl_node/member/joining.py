"""Joining a task: read its manifest and its code from the store, and check what the chain recorded."""

from __future__ import annotations

from chain.ledger import Ledger
from fl_node.arrays import Arrays
from fl_node.blobs.digest import digest_of
from fl_node.blobs.model import encode_model
from fl_node.blobs.store import Store
from fl_node.code.blob import MAX_CODE_BYTES, Code, read_code
from fl_node.errors import BadData, Misuse
from fl_node.history.members import members_of
from fl_node.manifest.agreement import check_agreement
from fl_node.manifest.code_learners import CodeLearner
from fl_node.manifest.manifest import MAX_MANIFEST_BYTES, Manifest, parse_manifest


def load_manifest(ledger: Ledger, store: Store, task: int) -> Manifest:
    """Load the task's manifest by the digest on chain.

    Raises:
        TaskUnknown: No task has this number.
        Misuse: The manifest is not in the store, or the coordinator opened the task with other terms or members.
    """
    state = ledger.task_state(task)
    try:
        manifest = parse_manifest(bytes(store.get(state.manifest_digest, MAX_MANIFEST_BYTES)))
    except BadData as error:
        raise Misuse(f"the manifest of task {task}: {error}; is this the task's store?") from None
    for difference in check_agreement(manifest, state.terms, members_of(ledger, task)):
        raise Misuse(f"task {task} does not match its manifest: {difference}")
    return manifest


def verify_genesis(derived: Arrays, recorded: bytes) -> None:
    """Check that the recorded genesis is the derived one, so that members train from no planted model.

    Args:
        derived: The global state derived from the manifest: from its seed, or from the first model that it names.
        recorded: The digest on chain, 32 bytes.

    Raises:
        Misuse: The recorded genesis is not the derived one.
    """
    digest = digest_of(encode_model(derived))
    if digest != recorded:
        raise Misuse(
            f"the task's genesis does not follow from its manifest: "
            f"expected {digest.hex()}, got {recorded.hex()}"
        )


def stored_code(learner: CodeLearner, store: Store) -> Code:
    """The code that a manifest names, from the task's store.

    Raises:
        Misuse: The store does not have it, or it is no code.
        StoreUnusable: The store cannot be read.
    """
    try:
        return read_code(store.get(bytes.fromhex(learner.code), MAX_CODE_BYTES))
    except BadData as trouble:
        raise Misuse(
            f"the task's code {learner.code}: {trouble}; is this the task's store?"
        ) from None
