"""Uploads beside the loop: begun once, looked at, given up in time, begun anew after a failure."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fl_node.blobs.digest import Blob, digest_of
from fl_node.blobs.store import Store, open_store
from fl_node.errors import StoreSlow, StoreUnusable
from fl_node.member.uploading import Uploads

BLOB = bytes(100_000)
DIGEST = digest_of(BLOB)
SOON = 20.0
"""Seconds after which a test has failed."""


class SlowStore:
    """Takes a blob when it is let, and tells of half of it as long as it is not."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.failing = False
        self.puts = 0

    def put(self, blob: Blob, progress: Callable[[int], None]) -> bytes:
        self.puts += 1
        while not self.let.wait(0.01):
            progress(len(blob) // 2)
        if self.failing:
            raise StoreUnusable("the store has gone away")
        progress(len(blob))
        return digest_of(blob)


@pytest.fixture
def store() -> SlowStore:
    return SlowStore()


@pytest.fixture
def uploads(store: SlowStore) -> Iterator[Uploads]:
    with ThreadPoolExecutor() as threads:
        uploads = Uploads(store, threads)  # type: ignore[arg-type]
        yield uploads
        uploads.close()


def later() -> float:
    return time.monotonic() + SOON


class TestUnderWay:
    def test_an_upload_keeps_nobody_waiting(self, uploads: Uploads, store: SlowStore) -> None:
        uploads.send(DIGEST, lambda: BLOB, later())
        assert not uploads.arrived(DIGEST)
        store.let.set()
        assert uploads.arrived(DIGEST, SOON)

    def test_it_is_begun_once(self, uploads: Uploads, store: SlowStore) -> None:
        for _ in range(3):
            uploads.send(DIGEST, lambda: BLOB, later())
        store.let.set()
        assert uploads.arrived(DIGEST, SOON)
        assert store.puts == 1

    def test_what_was_not_sent_has_not_arrived(self, uploads: Uploads) -> None:
        assert not uploads.arrived(DIGEST, SOON)


class TestTooLate:
    def test_an_upload_ends_with_its_time_and_says_how_far_it_came(self, uploads: Uploads) -> None:
        uploads.send(DIGEST, lambda: BLOB, time.monotonic())
        with pytest.raises(StoreSlow, match=r"given up after 0\.1 of 0\.1 MB in \d+ s"):
            uploads.arrived(DIGEST, SOON)

    def test_its_time_can_be_set_anew(self, uploads: Uploads, store: SlowStore) -> None:
        uploads.send(DIGEST, lambda: BLOB, math.inf)
        uploads.send(DIGEST, lambda: BLOB, time.monotonic())
        with pytest.raises(StoreSlow) as caught:
            uploads.arrived(DIGEST, SOON)
        assert (caught.value.done, caught.value.size) == (50_000, 100_000)

    def test_it_can_be_begun_anew(self, uploads: Uploads, store: SlowStore) -> None:
        uploads.send(DIGEST, lambda: BLOB, time.monotonic())
        with pytest.raises(StoreSlow):
            uploads.arrived(DIGEST, SOON)
        store.let.set()
        uploads.send(DIGEST, lambda: BLOB, later())
        assert uploads.arrived(DIGEST, SOON)


class TestUnwanted:
    def test_what_nobody_wants_is_given_up_at_once(self, store: SlowStore) -> None:
        with ThreadPoolExecutor() as threads:  # which waits for the upload to end
            uploads = Uploads(store, threads)  # type: ignore[arg-type]
            uploads.send(DIGEST, lambda: BLOB, math.inf)
            (slow,) = uploads.keep_only(())
        assert isinstance(slow, StoreSlow)
        assert not uploads.arrived(DIGEST)

    def test_what_is_wanted_goes_on(self, uploads: Uploads, store: SlowStore) -> None:
        uploads.send(DIGEST, lambda: BLOB, later())
        assert uploads.keep_only({DIGEST}) == []
        store.let.set()
        assert uploads.arrived(DIGEST, SOON)

    def test_what_has_arrived_is_forgotten_without_a_word(
        self, uploads: Uploads, store: SlowStore
    ) -> None:
        store.let.set()
        uploads.send(DIGEST, lambda: BLOB, later())
        assert uploads.arrived(DIGEST, SOON)
        assert uploads.keep_only(()) == []


def test_a_failure_is_said_once_and_the_upload_begun_anew(
    uploads: Uploads, store: SlowStore
) -> None:
    store.failing = True
    store.let.set()
    uploads.send(DIGEST, lambda: BLOB, later())
    with pytest.raises(StoreUnusable, match="gone away"):
        uploads.arrived(DIGEST, SOON)
    store.failing = False
    uploads.send(DIGEST, lambda: BLOB, later())
    assert uploads.arrived(DIGEST, SOON)


class TestPace:
    def test_it_is_that_of_the_last_upload_also_of_one_given_up(self, uploads: Uploads) -> None:
        blob = bytes(1_000_000)
        assert uploads.rate is None
        uploads.send(DIGEST, lambda: blob, time.monotonic() + 0.05)
        with pytest.raises(StoreSlow):
            uploads.arrived(DIGEST, SOON)
        assert uploads.rate is not None
        assert 0 < uploads.rate < 500_000 / 0.009, "half of it took the store 10 ms at least"

    def test_a_blob_that_was_there_says_nothing_about_the_uplink(self, tmp_path: Path) -> None:
        store: Store = open_store(tmp_path)
        store.put(BLOB)
        uploads = Uploads(store)
        uploads.send(DIGEST, lambda: BLOB, later())
        assert uploads.arrived(DIGEST)
        assert uploads.rate is None


def test_without_threads_an_upload_is_over_when_it_was_sent(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    uploads = Uploads(store)
    uploads.send(DIGEST, lambda: BLOB, later())
    assert uploads.arrived(DIGEST)
    assert store.get(DIGEST, len(BLOB)) == BLOB
