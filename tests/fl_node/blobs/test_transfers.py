"""What goes to a store behind a URL and comes from it: in parts, no more than needed, given up in time, counted."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bucket import Bucket, bucket_on_loopback, point_at

from fl_node.blobs import served
from fl_node.blobs.digest import digest_of
from fl_node.blobs.served import TimeLimits
from fl_node.blobs.store import SAMPLE, SAMPLES, Store, key_of, open_store
from fl_node.errors import StoreSlow, StoreUnusable

PART = 1 << 16
"""Of an upload, and of a download; real ones are larger, and slower to test."""
BLOB = os.urandom(2 * PART + 1000)
DIGEST = digest_of(BLOB)
KEY = f"weights/task/{key_of(DIGEST)}"
MB = 1e6


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.setattr(served, "PART", PART)
    monkeypatch.setattr(served, "_CHUNK", PART)
    with bucket_on_loopback() as running:
        point_at(running.url, monkeypatch)
        yield running


@pytest.fixture
def store(bucket: Bucket) -> Store:
    return open_store("s3://weights/task")


class TestParts:
    def test_carry_a_large_blob(self, bucket: Bucket, store: Store) -> None:
        assert store.put(BLOB) == DIGEST
        assert bucket.objects[KEY] == BLOB
        assert sum("partNumber=" in request for request in bucket.requests) == 3
        assert store.get(DIGEST, len(BLOB)) == BLOB

    def test_are_not_made_of_a_small_blob(self, bucket: Bucket, store: Store) -> None:
        store.put(b"small")
        assert (bucket.asked("HEAD"), bucket.asked("PUT"), bucket.asked("POST")) == (1, 1, 0)

    def test_are_all_that_a_cut_costs(self, bucket: Bucket, store: Store) -> None:
        bucket.cuts = 2
        store.put(BLOB)
        assert bucket.objects[KEY] == BLOB
        assert bucket.taken <= len(BLOB) + 2 * PART

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_are_sent_again_where_the_store_asks_for_patience(
        self, bucket: Bucket, store: Store, status: int
    ) -> None:
        bucket.refuse(status, "SlowDown", times=2, method="PUT")
        store.put(BLOB)
        assert bucket.objects[KEY] == BLOB

    def test_are_told_while_they_arrive(self, store: Store) -> None:
        told: list[int] = []
        store.put(BLOB, progress=told.append)
        assert told == sorted(told) and told[-1] == len(BLOB)


class TestGivingUp:
    def test_an_upload_at_its_end_says_how_far_it_came(self, bucket: Bucket, store: Store) -> None:
        bucket.stops_after = 1.5 * PART
        started = time.monotonic()
        with pytest.raises(StoreSlow, match=r"0\.1 of 0\.1 MB of .* sent in \d+ s") as caught:
            store.put(BLOB, ends=started + 8)
        assert time.monotonic() - started < 30
        assert caught.value.done == PART == store.sent
        assert caught.value.size == len(BLOB)
        assert 3 < caught.value.seconds < 30
        assert f"sent in {caught.value.seconds:.0f} s;" in str(caught.value)
        assert KEY not in bucket.objects

    def test_sends_no_further_part(self, bucket: Bucket, store: Store) -> None:
        bucket.stops_after = PART / 2
        with pytest.raises(StoreSlow):
            store.put(BLOB, ends=time.monotonic() + 0.3)
        bucket.stops_after = None
        store.put(b"small")  # What the connection still held has arrived by then.
        assert bucket.taken <= PART + len(b"small")
        assert not any("partNumber=2" in request for request in bucket.requests)

    def test_an_upload_whose_end_is_over_sends_nothing(self, bucket: Bucket, store: Store) -> None:
        with pytest.raises(StoreSlow):
            store.put(BLOB, ends=time.monotonic() - 1)
        assert bucket.taken == store.sent == 0

    def test_includes_the_look_at_what_is_there(self, bucket: Bucket, store: Store) -> None:
        small = os.urandom(SAMPLE)
        store.put(small)
        bucket.stops_after = 0
        for use in (store.put, store.holds):
            started = time.monotonic()
            with pytest.raises(StoreSlow):
                use(small, ends=started + 0.3)
            assert time.monotonic() - started < 15

    def test_an_upload_because_its_caller_says_so(self, bucket: Bucket, store: Store) -> None:
        class EnoughError(Exception):
            pass

        def stop(done: int) -> None:
            raise EnoughError

        bucket.stops_after = 1
        with pytest.raises(EnoughError):
            store.put(BLOB, progress=stop)
        assert KEY not in bucket.objects

    def test_a_download_at_its_end(self, bucket: Bucket, store: Store) -> None:
        bucket.objects[KEY] = BLOB
        bucket.stops_after = PART
        with pytest.raises(StoreSlow, match=r"0\.1 of 0\.1 MB of .* received"):
            store.get(DIGEST, len(BLOB), ends=time.monotonic() + 8)
        assert 0 < store.received < len(BLOB)

    def test_a_store_that_is_slower_than_the_slowest_link(self, bucket: Bucket) -> None:
        limits = TimeLimits(silence=5, slowest=32 * MB, retries=0.1)
        store = open_store("s3://weights/task", limits=limits)
        bucket.objects[KEY] = BLOB
        bucket.rate = 0.01 * MB
        with pytest.raises(StoreSlow):
            store.get(DIGEST, len(BLOB))


class TestReading:
    def test_goes_on_where_a_cut_left_it(self, bucket: Bucket, store: Store) -> None:
        store.put(BLOB)
        bucket.cuts_reading = 2
        assert store.get(DIGEST, len(BLOB)) == BLOB
        assert bucket.given < 1.5 * len(BLOB)

    def test_goes_on_where_a_cut_left_it_when_the_library_has_lost_patience(
        self, bucket: Bucket
    ) -> None:
        limits = TimeLimits(retries=0.0)
        store = open_store("s3://weights/task", limits=limits)
        bucket.objects[KEY] = BLOB
        bucket.cuts_reading = 1
        assert store.get(DIGEST, len(BLOB)) == BLOB
        assert bucket.given < 1.5 * len(BLOB)

    def test_takes_as_long_as_its_size_allows_and_not_only_until_a_silence(
        self, bucket: Bucket
    ) -> None:
        limits = TimeLimits(silence=5, slowest=4000, retries=0.1)
        store = open_store("s3://weights/task", limits=limits)
        bucket.objects[KEY] = BLOB
        bucket.rate = 0.02 * MB
        assert store.get(DIGEST, len(BLOB)) == BLOB


class TestWhatIsThere:
    def test_is_not_sent_again_and_hardly_read(self, bucket: Bucket, store: Store) -> None:
        store.put(BLOB)
        taken, given = bucket.taken, bucket.given
        assert store.holds(BLOB)
        assert store.put(BLOB) == DIGEST
        assert bucket.taken == taken
        assert bucket.given - given == 2 * SAMPLES * SAMPLE

    def test_is_not_read_back_after_it_was_put(self, bucket: Bucket, store: Store) -> None:
        store.put(BLOB)
        assert bucket.asked("GET") == store.received == 0

    @pytest.mark.parametrize("garbage", [BLOB[:-1], os.urandom(len(BLOB)), b""])
    def test_is_mended_if_it_is_garbage(self, bucket: Bucket, store: Store, garbage: bytes) -> None:
        bucket.objects[KEY] = garbage
        assert not store.holds(BLOB)
        store.put(BLOB)
        assert bucket.objects[KEY] == BLOB

    def test_is_compared_whole_if_it_is_small(self, bucket: Bucket, store: Store) -> None:
        small = os.urandom(SAMPLES * SAMPLE)
        key = f"weights/task/{key_of(digest_of(small))}"
        bucket.objects[key] = small[:-1] + bytes([small[-1] ^ 1])
        store.put(small)
        assert bucket.objects[key] == small

    def test_is_not_there_in_a_store_that_has_nothing(self, store: Store) -> None:
        assert not store.holds(BLOB)


def test_a_loop_that_is_running_already_is_no_hindrance(store: Store) -> None:
    """As in a notebook."""

    async def cell() -> bool:
        return store.get(store.put(BLOB), len(BLOB)) == BLOB

    assert asyncio.run(cell())


class TestCounting:
    def test_tells_what_went_and_what_came(self, store: Store) -> None:
        store.put(BLOB)
        store.get(DIGEST, len(BLOB))
        store.get(DIGEST, len(BLOB))
        assert (store.sent, store.received) == (len(BLOB), 2 * len(BLOB))

    def test_counts_for_a_folder_as_well(self, tmp_path: Path) -> None:
        store = open_store(tmp_path)
        store.put(BLOB)
        store.get(DIGEST, len(BLOB))
        assert (store.sent, store.received) == (len(BLOB), len(BLOB))


class TestMeasuring:
    def test_tells_a_links_rate(self, bucket: Bucket, store: Store) -> None:
        bucket.rate = 4 * MB
        speed = store.measure(1 << 20)
        assert 0 < speed.up < 4.4 * MB
        assert 0 < speed.down < 4.4 * MB

    @pytest.mark.parametrize("where", ["s3://weights/task", "memory://", "folder"])
    def test_leaves_nothing_behind(self, bucket: Bucket, tmp_path: Path, where: str) -> None:
        store = open_store(tmp_path / where if where == "folder" else where)
        assert store.measure(1000).up > 0
        assert not bucket.objects
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]

    def test_needs_no_right_to_delete(self, bucket: Bucket, store: Store) -> None:
        bucket.refuse(403, "AccessDenied", method="DELETE")
        assert store.measure(1000).up > 0

    def test_needs_the_right_to_write(self, bucket: Bucket, store: Store) -> None:
        bucket.refuse(403, "AccessDenied", method="PUT")
        with pytest.raises(StoreUnusable, match="403"):
            store.measure()
