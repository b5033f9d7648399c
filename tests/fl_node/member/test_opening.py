"""Opening a task: the blobs first, then the record, and nothing at all of what no member could read."""

from __future__ import annotations

import pytest
from doubles import Clock, small_genesis, small_manifest

from chain.errors import CallRejected
from chain.memory_ledger import MemoryLedger
from fl_node.blobs.model import decode_model, encode_model
from fl_node.blobs.store import Store, open_store
from fl_node.errors import ManifestInvalid, StoreUnusable
from fl_node.manifest.manifest import parse_manifest
from fl_node.member.opening import open_task

SIZE = len(encode_model(small_genesis()))


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger(clock=Clock())


@pytest.fixture
def store() -> Store:
    return open_store("memory://")


def is_opened(ledger: MemoryLedger) -> bool:
    return bool(ledger.history(1))


def test_what_is_recorded_is_what_is_stored(ledger, store):
    manifest = small_manifest()
    opened = open_task(ledger, store, manifest, small_genesis())
    state = ledger.task_state(opened.task)
    assert (state.manifest_digest, state.genesis_digest) == (
        opened.manifest_digest,
        opened.genesis_digest,
    )
    assert state.terms == manifest.terms()
    assert parse_manifest(bytes(store.get(opened.manifest_digest, 1 << 20))) == manifest
    genesis = decode_model(store.get(opened.genesis_digest, SIZE))
    assert genesis.keys() == small_genesis().keys()


def test_each_task_has_a_number_of_its_own(ledger, store):
    numbers = [open_task(ledger, store, small_manifest(), small_genesis()).task for _ in range(3)]
    assert numbers == [1, 2, 3]


def test_a_genesis_of_just_the_limit_is_opened(ledger, store):
    open_task(ledger, store, small_manifest(limits={"model_bytes": SIZE}), small_genesis())
    assert is_opened(ledger)


def test_a_genesis_that_its_own_manifest_forbids_to_read_is_refused(ledger, store):
    manifest = small_manifest(limits={"model_bytes": SIZE - 1})
    with pytest.raises(ManifestInvalid, match=rf"limits\.model_bytes is {SIZE - 1}.* {SIZE} bytes"):
        open_task(ledger, store, manifest, small_genesis())
    assert not is_opened(ledger)


class Full:
    """A store on a disk with no room."""

    def put(self, blob: bytes) -> bytes:
        raise StoreUnusable("no space left")


def test_no_task_is_opened_whose_blobs_could_not_be_stored(ledger):
    with pytest.raises(StoreUnusable, match="no space left"):
        open_task(ledger, Full(), small_manifest(), small_genesis())
    assert not is_opened(ledger)


def test_what_the_contract_refuses_is_said(ledger, store):
    manifest = small_manifest()
    broken = manifest.model_copy(update={"members": manifest.members[::-1]})
    with pytest.raises(CallRejected, match="MembersUnordered"):
        open_task(ledger, store, broken, small_genesis())


def test_a_manifest_too_long_for_any_member_to_read_is_refused(ledger, store):
    manifest = small_manifest(strategy={"share": ["generator.*" + "?" * 900] * 1_200})
    with pytest.raises(ManifestInvalid, match=r"at most 1048576"):
        open_task(ledger, store, manifest, small_genesis())
    assert not is_opened(ledger)
