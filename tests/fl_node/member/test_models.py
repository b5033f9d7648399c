"""What a node keeps of models: its own results, over restarts, and no more than it needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from doubles import MEMBERS, small_genesis, small_manifest

from fl_node.blobs.digest import digest_of
from fl_node.blobs.model import encode_model
from fl_node.blobs.store import Store, open_store
from fl_node.errors import BlobMalformed, BlobMissing, BlobOversized, StateUnusable
from fl_node.member.models import Models
from fl_node.member.nearest import Nearest
from fl_node.member.state import Membership, NodeState

MANIFEST = small_manifest()
MEMBERSHIP = Membership(1, MEMBERS[0], 1, MEMBERS[1])


def model(number: int) -> bytes:
    return encode_model({name: array + number for name, array in small_genesis().items()})


def name(blob: bytes) -> bytes:
    return digest_of(blob)


GENESIS, FIRST, SECOND, OTHER = (model(number) for number in range(4))


@pytest.fixture
def state(tmp_path: Path) -> Iterator[NodeState]:
    with NodeState(tmp_path / "state", MEMBERSHIP) as state:
        yield state


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


def models(state: NodeState, store: Store) -> Models:
    return Models(MANIFEST, state, Nearest(state, store))


class TestOwnResults:
    def test_are_neither_downloaded_nor_lost_with_the_process(
        self, state: NodeState, store: Store
    ) -> None:
        models(state, store).keep(name(FIRST), FIRST, name(GENESIS))
        again = models(state, store)
        assert again.made(name(FIRST)) == FIRST
        assert again.load(name(FIRST)).digest == name(FIRST)

    def test_of_another_node_are_the_stores(self, state: NodeState, store: Store) -> None:
        ours = models(state, store)
        with pytest.raises(BlobMissing):
            ours.load(name(FIRST))
        store.put(FIRST)
        assert ours.load(name(FIRST)).digest == name(FIRST)
        assert ours.made(name(FIRST)) is None

    def test_are_kept_for_two_rounds(self, state: NodeState, store: Store) -> None:
        ours = models(state, store)
        ours.keep(name(FIRST), FIRST, name(GENESIS))
        ours.keep(name(SECOND), SECOND, name(FIRST))
        ours.keep(name(OTHER), OTHER, name(SECOND))
        assert [ours.made(name(one)) is None for one in (FIRST, SECOND, OTHER)] == [
            True,
            False,
            False,
        ]

    def test_of_an_attempt_that_came_to_nothing_are_deleted(
        self, state: NodeState, store: Store, tmp_path: Path
    ) -> None:
        ours = models(state, store)
        for aggregate in (FIRST, OTHER, SECOND):
            ours.keep(name(aggregate), aggregate, name(GENESIS))
        (kept,) = (tmp_path / "state" / "models").iterdir()
        assert kept.stem == name(SECOND).hex()

    def test_are_for_their_owners_eyes_only(
        self, state: NodeState, store: Store, tmp_path: Path
    ) -> None:
        models(state, store).keep(name(FIRST), FIRST, name(GENESIS))
        folder = tmp_path / "state" / "models"
        (kept,) = folder.iterdir()
        assert [path.stat().st_mode & 0o777 for path in (folder, kept)] == [0o700, 0o600]

    def test_that_were_damaged_on_disk_are_not_there(
        self, state: NodeState, store: Store, tmp_path: Path
    ) -> None:
        models(state, store).keep(name(FIRST), FIRST, name(GENESIS))
        (kept,) = (tmp_path / "state" / "models").iterdir()
        kept.write_bytes(b"garbage")
        assert models(state, store).made(name(FIRST)) is None
        store.put(FIRST)
        assert models(state, store).load(name(FIRST)).digest == name(FIRST)

    def test_outlive_a_full_disk_in_memory(
        self, state: NodeState, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*arguments: object) -> None:
            raise StateUnusable("no space left on device")

        monkeypatch.setattr(state, "keep_model", full)
        ours = models(state, store)
        ours.keep(name(FIRST), FIRST, name(GENESIS))
        assert ours.made(name(FIRST)) == FIRST


def test_a_model_of_another_task_is_refused(state: NodeState, store: Store) -> None:
    foreign = encode_model({"server.momentum.generator.bias": small_genesis()["generator.bias"]})
    with pytest.raises(BlobMalformed, match="no round can start"):
        models(state, store).load(store.put(foreign))


def test_an_own_blob_is_bounded_like_any_other(state: NodeState, store: Store) -> None:
    models(state, store).keep(name(FIRST), FIRST, name(GENESIS))
    with pytest.raises(BlobOversized, match="at most 10"):
        Nearest(state, store).get(name(FIRST), 10)
