"""A store that refuses or hides what is asked of it: is it this blob, or is it us?"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bucket import Bucket, bucket_on_loopback, point_at

from fl_node.blobs.digest import digest_of
from fl_node.blobs.served import TimeLimits
from fl_node.blobs.store import Store, key_of, open_store
from fl_node.errors import BlobMissing, StoreUnusable

BRIEF = TimeLimits(retries=0.2)
READ, WANTED = b"read before", b"wanted"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with bucket_on_loopback() as served:
        point_at(served.url, monkeypatch)
        yield served


@pytest.fixture
def store(bucket: Bucket) -> Store:
    """A store from which one blob was read."""
    opened = open_store("s3://weights/task", limits=BRIEF)
    digest = opened.put(READ)
    opened.get(digest, 100)
    return opened


def want(store: Store) -> None:
    store.get(digest_of(WANTED), 100)


def test_who_may_read_nothing_is_told_so_and_no_blob_is_blamed(bucket: Bucket) -> None:
    bucket.refuse(403, "AccessDenied")
    with pytest.raises(StoreUnusable, match="403"):
        want(open_store("s3://weights/task", limits=BRIEF))


def test_one_blob_that_is_refused_while_others_are_not_is_missing(
    bucket: Bucket, store: Store
) -> None:
    """S3 refuses what is missing to those who may not list the bucket."""
    bucket.refuse(403, "AccessDenied", times=1)
    with pytest.raises(BlobMissing, match="access is denied"):
        want(store)


def test_a_digest_with_the_digits_of_a_status_is_no_status(bucket: Bucket, store: Store) -> None:
    """A second request, for the whole of it, would find it missing and forget that it was refused."""
    named = next(blob for blob in map(bytes, range(1000)) if "416" in digest_of(blob).hex())
    bucket.refuse(403, "AccessDenied", times=1)
    with pytest.raises(BlobMissing, match="access is denied"):
        store.get(digest_of(named), 1000)


def test_a_key_that_is_revoked_later_blames_no_blob(bucket: Bucket, store: Store) -> None:
    bucket.refuse(403, "AccessDenied")
    with pytest.raises(StoreUnusable, match="could before"):
        want(store)


def test_a_store_that_calls_everything_missing_blames_no_blob(bucket: Bucket, store: Store) -> None:
    """So do some servers towards those who have no right to look, and a bucket that was emptied."""
    bucket.refuse(404, "NoSuchKey")
    with pytest.raises(StoreUnusable, match="could before"):
        want(store)


def test_a_blob_that_is_missing_while_others_are_there_is_missing(store: Store) -> None:
    with pytest.raises(BlobMissing, match=key_of(digest_of(WANTED))[3:]):
        want(store)


def test_the_blob_that_was_read_last_may_go_missing_itself(bucket: Bucket, store: Store) -> None:
    bucket.objects.clear()
    with pytest.raises(BlobMissing):
        store.get(digest_of(READ), 100)
