"""Which blobs belong to a history, and how long each may be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from chain.types import Entry, RoundFinalised, RoundOpened, TaskState, UpdateRevealed
from fl_node.blobs.model import load_model
from fl_node.blobs.reader import Reader
from fl_node.code.blob import MAX_CODE_BYTES
from fl_node.errors import BadData
from fl_node.manifest.code_learners import CodeLearner
from fl_node.manifest.manifest import MAX_MANIFEST_BYTES, Manifest, parse_manifest
from fl_node.round.form import Form, state_objection, update_form
from fl_node.round.verdicts import expected_header, largest_update


def blobs_of(store: Reader, state: TaskState, entries: Iterable[Entry]) -> dict[bytes, int]:
    """The digests of a history's blobs, 32 bytes each, with the most bytes that each may have.

    They are the manifest, what it names, the genesis, every revealed update, also of aborted attempts, and every final
    model. Without a readable manifest nobody knows how long a blob may be, and there is only the manifest itself.

    Args:
        store: Holds the manifest and the genesis.
        state: The task's.
        entries: The task's log, oldest first.

    Raises:
        StoreUnusable: The store cannot be read.
    """
    named = {state.manifest_digest: MAX_MANIFEST_BYTES}
    try:
        manifest = parse_manifest(bytes(store.get(state.manifest_digest, MAX_MANIFEST_BYTES)))
    except BadData:
        return named
    form = _form(store, state, manifest)
    for digest, most in (*_of_manifest(manifest), *_of_log(manifest, form, entries)):
        named[digest] = max(most, named.get(digest, 0))
    named.setdefault(state.genesis_digest, manifest.limits.model_bytes)
    return named


def _of_manifest(manifest: Manifest) -> Iterator[tuple[bytes, int]]:
    if isinstance(manifest.learner, CodeLearner):
        yield bytes.fromhex(manifest.learner.code), MAX_CODE_BYTES
        yield bytes.fromhex(manifest.learner.genesis), manifest.limits.model_bytes
    compared = manifest.learner.compared_by
    if compared and compared.digest:
        yield bytes.fromhex(compared.digest), manifest.limits.model_bytes


def _of_log(
    manifest: Manifest, form: Form | None, entries: Iterable[Entry]
) -> Iterator[tuple[bytes, int]]:
    parent = bytes(32)
    for entry in entries:
        match entry.event:
            case RoundOpened(parent_digest=digest):
                parent = digest
            case UpdateRevealed() as revealed:
                header = expected_header(manifest, parent, revealed)
                most = (
                    largest_update(manifest, form, header) if form else manifest.limits.model_bytes
                )
                yield revealed.reveal.update_digest, most
            case RoundFinalised(aggregate_digest=digest):
                yield digest, manifest.limits.model_bytes


def _form(store: Reader, state: TaskState, manifest: Manifest) -> Form | None:
    """The form of the task's updates; None if no round can start from the genesis."""
    try:
        genesis = load_model(store, state.genesis_digest, manifest.limits.model_bytes).arrays
    except BadData:
        return None
    return None if state_objection(manifest, genesis) else update_form(manifest, genesis)
