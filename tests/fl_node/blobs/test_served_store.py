"""A store behind a URL: it ends in time whatever the other side does, and no credential is shown."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from bucket import point_at
from served import Behaviour, answer, cut, drip, head, say_nothing, served, stop_after

from fl_node.blobs.digest import digest_of
from fl_node.blobs.served import DEFAULT_LIMITS, TimeLimits
from fl_node.blobs.store import Store, open_store
from fl_node.errors import BlobMissing, BlobOversized, BlobTampered, StoreUnusable
from fl_node.manifest.manifest import Rounds

BLOB = b"the weights" * 100
DIGEST = digest_of(BLOB)
SHORT = TimeLimits(connect=0.3, silence=0.4, slowest=1e7, retries=0.2)
"""Where no answer comes."""
BRIEF = TimeLimits(retries=0.2)
"""Where one comes, if the machine is busy a little later."""


def get(store: Store) -> object:
    return store.get(DIGEST, 1 << 20)


def put(store: Store) -> object:
    return store.put(BLOB)


class TestWaiting:
    @pytest.mark.parametrize(
        "behave",
        [
            say_nothing,
            stop_after(b"HTTP/1.1 200 OK\r\nContent-Le"),
            stop_after(head(len(BLOB)) + BLOB[:500]),
            drip(b""),
            drip(b"HTTP/1.1 200 OK\r\nX: "),
            drip(head(1 << 20)),
        ],
        ids=[
            "silence",
            "half a head",
            "half a body",
            "a dripping line",
            "a dripping head",
            "a dripping body",
        ],
    )
    @pytest.mark.timeout(60)
    def test_ends_soon_after_the_limits(self, behave: Behaviour) -> None:
        with served(behave) as url:
            started = time.monotonic()
            with pytest.raises(StoreUnusable, match=url) as caught:
                get(open_store(url, limits=SHORT))
            assert time.monotonic() - started < 15
        assert str(caught.value).isprintable()

    @pytest.mark.timeout(60)
    def test_ends_for_a_bucket_too(self, bucket: Callable[[str], None]) -> None:
        for use in (get, put):
            with served(say_nothing) as url:
                bucket(url)
                started = time.monotonic()
                with pytest.raises(StoreUnusable, match="s3://weights/task"):
                    use(open_store("s3://weights/task", limits=SHORT))
                assert time.monotonic() - started < 15

    @pytest.mark.parametrize("behave", [cut(b""), cut(head(len(BLOB)) + BLOB[:500])])
    @pytest.mark.timeout(60)
    def test_ends_where_the_other_side_hangs_up(self, behave: Behaviour) -> None:
        with served(behave) as url, pytest.raises(StoreUnusable, match=url):
            get(open_store(url, limits=BRIEF))

    def test_for_a_silent_store_is_by_default_shorter_than_the_shortest_default_window(
        self,
    ) -> None:
        rounds = Rounds(count=1)
        windows = (rounds.commit_window, rounds.reveal_window, rounds.attest_window)
        assert DEFAULT_LIMITS.retries + DEFAULT_LIMITS.silence < min(windows)


class TestAnswers:
    def test_longer_than_allowed_is_not_read(self) -> None:
        with served(drip(head(1 << 40))) as url, pytest.raises(BlobOversized):
            open_store(url, limits=BRIEF).get(DIGEST, 1 << 30)

    @pytest.mark.parametrize(
        ("status", "error"),
        [
            ("404 Not Found", BlobMissing),
            ("403 Forbidden", StoreUnusable),
            ("401 Unauthorized", StoreUnusable),
            ("400 Bad Request", StoreUnusable),
            ("500 Internal Server Error", StoreUnusable),
            ("200 OK", BlobTampered),
        ],
    )
    def test_tell_a_blob_that_is_away_from_a_store_that_is(
        self, status: str, error: type[Exception]
    ) -> None:
        with served(answer(b"<html>", status)) as url, pytest.raises(error):
            get(open_store(url, limits=BRIEF))

    @pytest.mark.parametrize(
        "code", ["SignatureDoesNotMatch", "InvalidAccessKeyId", "ExpiredToken", "NoSuchBucket"]
    )
    def test_that_speak_of_us_or_the_bucket_blame_no_blob(
        self, bucket: Callable[[str], None], code: str
    ) -> None:
        body = f"<Error><Code>{code}</Code><AWSAccessKeyId>AKIA1234</AWSAccessKeyId></Error>"
        status = "404 Not Found" if code == "NoSuchBucket" else "403 Forbidden"
        with served(answer(body.encode(), status)) as url:
            bucket(url)
            with pytest.raises(StoreUnusable, match=code) as caught:
                get(open_store("s3://weights/task", limits=BRIEF))
        assert "AKIA" not in str(caught.value)

    def test_do_not_write_into_errors(self) -> None:
        body = b"\x1b[2J AUDIT CLEAN " * 1000
        with served(answer(body, "400 Bad Request")) as url, pytest.raises(StoreUnusable) as caught:
            get(open_store(url, limits=BRIEF))
        assert "CLEAN" not in str(caught.value)
        assert str(caught.value).isprintable() and len(str(caught.value)) < 500


SECRET = "s3cr3t/+=&value"
CREDENTIALS = [
    "http://user:{quoted}@127.0.0.1:9/weights",
    "http://{quoted}@127.0.0.1:9/weights",
    "http://127.0.0.1:9/weights?sig={quoted}",
    "http://127.0.0.1:9/weights?X-Amz-Credential=a&X-Amz-Signature={quoted}",
    "http://127.0.0.1:9/weights?a=b#{quoted}",
    "http://user:{plain}@127.0.0.1:9/weights",
    "http://user:what?{plain}@127.0.0.1:9/weights",
    "http://user:{quoted}@[broken/weights",
    "ftp://user:{quoted}@host/weights",
    "s3://user:{quoted}@/",
    "s3://key:{quoted}@bucket/weights?X-Amz-Signature={quoted}",
    "az://container/weights?sig={quoted}",
    "https://s3.amazonaws.com/bucket?X-Amz-Signature={quoted}",
    "user:{quoted}@host/weights",
    "host.example/weights?sig={quoted}",
]


class TestCredentials:
    @pytest.mark.parametrize("form", CREDENTIALS)
    @pytest.mark.parametrize("use", [get, put])
    def test_in_a_location_are_in_no_error(
        self,
        form: str,
        use: Callable[[Store], object],
        tmp_path: Path,
        bucket: Callable[[str], None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        bucket("http://127.0.0.1:9")
        where = form.format(quoted=quote(SECRET, safe=""), plain=SECRET)
        with pytest.raises((StoreUnusable, BlobMissing)) as caught:
            use(open_store(where, limits=SHORT))
        shown = str(caught.value)
        for secret in (SECRET, quote(SECRET, safe=""), quote(SECRET), "s3cr3t", "value"):
            assert secret not in shown, shown
        assert not list(tmp_path.iterdir())

    def test_in_a_location_are_not_in_its_name(self) -> None:
        store = open_store("http://user:s3cr3t@127.0.0.1:9/weights?sig=s3cr3t")
        assert str(store) == "http://127.0.0.1:9/weights"
        assert "s3cr3t" not in repr(store)

    def test_that_a_server_sends_back_are_in_no_error(self) -> None:
        with served(answer(b"you asked with s3cr3t", "400 s3cr3t")) as url:
            where = url.replace("http://", "http://user:s3cr3t@")
            with pytest.raises(StoreUnusable) as caught:
                get(open_store(where, limits=BRIEF))
        assert "s3cr3t" not in str(caught.value)

    def test_of_an_endpoint_are_in_no_error(
        self, bucket: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bucket("http://user:s3cr3t@127.0.0.1:9")
        with pytest.raises(StoreUnusable) as caught:
            get(open_store("s3://weights/task", limits=SHORT))
        assert "s3cr3t" not in str(caught.value)

    def test_are_still_used(self) -> None:
        """They are hidden, not dropped."""
        requests: list[bytes] = []
        with served(answer(BLOB), requests) as url:
            assert get(open_store(f"{url}/weights?sig=s3cr3t", limits=BRIEF)) == BLOB
        assert b"?sig=s3cr3t " in requests[0]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Points S3 at an endpoint."""
    return lambda endpoint: point_at(endpoint, monkeypatch)
