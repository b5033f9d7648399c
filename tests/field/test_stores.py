"""Other people's stores: SeaweedFS as S3, azurite as Azure. What docs/stores.md says of them was tried here."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Iterator, Mapping

import obstore
import pytest
from fault_proxy import Proxies
from stores import (
    AZURE_ACCOUNT,
    StoreServer,
    missing_azurite,
    missing_seaweedfs,
    secret_of,
    start_azurite,
    start_seaweedfs,
)
from weather import Weather, link, megabits

from fl_node.blobs.digest import digest_of
from fl_node.blobs.served import PART, TimeLimits
from fl_node.blobs.store import Store, key_of, open_store
from fl_node.errors import BlobMissing, BlobTampered, StoreSlow, StoreUnusable

BLOB = os.urandom(2 * PART + 1000)
DIGEST = digest_of(BLOB)
HASTY = TimeLimits(retries=1.0)
OTHERS = {
    "reader": ["Read:blobs"],
    "lister": ["List:blobs"],
    "stranger": ["Read:others", "Write:others", "List:others"],
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreServer]:
    if reason := missing_seaweedfs():
        pytest.skip(reason)
    with start_seaweedfs(tmp_path_factory.mktemp("seaweedfs"), others=OTHERS) as running:
        yield running


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreServer]:
    if reason := missing_azurite():
        pytest.skip(reason)
    with start_azurite(tmp_path_factory.mktemp("azurite")) as running:
        yield running


@pytest.fixture(params=["seaweedfs", "azurite"])
def server(request: pytest.FixtureRequest) -> StoreServer:
    running = request.getfixturevalue(request.param)
    assert isinstance(running, StoreServer)
    return running


def opened(
    server: StoreServer,
    monkeypatch: pytest.MonkeyPatch,
    changes: Mapping[str, str] | None = None,
    where: str | None = None,
) -> Store:
    """The store with the server's variables, some of them changed."""
    for name, value in {**server.env, **(changes or {})}.items():
        monkeypatch.setenv(name, value)
    return open_store(where or server.location, limits=HASTY)


def overwrite(store: Store, key: str, content: bytes) -> None:
    """Put something under a key that does not hash to it."""
    obstore.put(store._place._writing, key, content)


class TestEveryStore:
    def test_takes_a_large_blob_and_gives_it_back(
        self, server: StoreServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        blob = os.urandom(len(BLOB))
        store = opened(server, monkeypatch)
        assert store.get(store.put(blob), len(blob)) == blob
        assert (store.sent, store.received) == (len(blob), len(blob))

    def test_is_not_sent_what_it_has(
        self, server: StoreServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened(server, monkeypatch).put(BLOB)
        store = opened(server, monkeypatch)
        assert store.holds(BLOB)
        store.put(BLOB)
        assert store.sent == 0
        assert store.received < len(BLOB) / 100

    def test_says_what_is_missing(
        self, server: StoreServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = opened(server, monkeypatch)
        with pytest.raises(BlobMissing):
            store.get(bytes(32), 10)
        assert not store.holds(b"never put")

    def test_is_mended_where_garbage_lies(
        self, server: StoreServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        blob = os.urandom(50_000)
        store = opened(server, monkeypatch)
        overwrite(store, key_of(digest_of(blob)), os.urandom(50_000))
        with pytest.raises(BlobTampered):
            store.get(digest_of(blob), len(blob))
        store.put(blob)
        assert store.get(digest_of(blob), len(blob)) == blob

    def test_keeps_an_empty_blob(
        self, server: StoreServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = opened(server, monkeypatch)
        assert store.get(store.put(b""), 0) == b""

    def test_is_measured_and_left_clean(
        self, server: StoreServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = opened(server, monkeypatch)
        speed = store.measure()
        assert speed.up > 0 and speed.down > 0
        place = store._place._reading
        assert not [found for page in obstore.list(place, prefix="speed/") for found in page]

    def test_is_read_and_written_through_bad_weather(
        self, server: StoreServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        blob = os.urandom(len(BLOB))
        weather = Weather(refused=0.2, cut_before=0.1, cut_after=0.1)
        with Proxies(seed=5) as proxies:
            proxy = proxies.to(server.url, weather=weather)
            opened(server.through(proxy.url), monkeypatch)
            store = open_store(server.location)
            store.put(blob)
            assert store.get(digest_of(blob), len(blob)) == blob

    def test_over_a_slow_line_is_given_up_in_time_and_its_speed_is_known(
        self, server: StoreServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        blob = os.urandom(len(BLOB))
        with Proxies() as proxies:
            proxy = proxies.to(server.url, link=link(up=2, down=80))
            store = opened(server.through(proxy.url), monkeypatch)
            assert store.measure(1 << 19).up < 1.5 * megabits(2)
            started = time.monotonic()
            with pytest.raises(StoreSlow):
                store.put(blob, ends=started + 3)
            assert time.monotonic() - started < 30, "all of it takes 42 s"
        assert not opened(server, monkeypatch).holds(blob)


class TestS3:
    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"AWS_SECRET_ACCESS_KEY": "wrong-secret"}, "SignatureDoesNotMatch"),
            ({"AWS_ACCESS_KEY_ID": "nobody"}, "InvalidAccessKeyId"),
            ({"AWS_SKIP_SIGNATURE": "true"}, "AccessDenied"),
        ],
    )
    def test_wrong_credentials_are_named_and_blame_no_blob(
        self,
        seaweedfs: StoreServer,
        monkeypatch: pytest.MonkeyPatch,
        changes: Mapping[str, str],
        code: str,
    ) -> None:
        store = opened(seaweedfs, monkeypatch, changes)
        for use in (lambda: store.get(bytes(32), 10), lambda: store.put(b"something new")):
            with pytest.raises(StoreUnusable, match=code):
                use()

    @pytest.mark.parametrize("name", ["stranger", "lister"])
    def test_who_may_not_read_blames_no_blob(
        self, seaweedfs: StoreServer, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        opened(seaweedfs, monkeypatch).put(BLOB)
        changes = {"AWS_ACCESS_KEY_ID": name, "AWS_SECRET_ACCESS_KEY": secret_of(name)}
        store = opened(seaweedfs, monkeypatch, changes)
        for digest in (DIGEST, bytes(32)):
            with pytest.raises(StoreUnusable, match="AccessDenied"):
                store.get(digest, len(BLOB))

    def test_who_may_only_read_reads(
        self, seaweedfs: StoreServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened(seaweedfs, monkeypatch).put(BLOB)
        changes = {"AWS_ACCESS_KEY_ID": "reader", "AWS_SECRET_ACCESS_KEY": secret_of("reader")}
        store = opened(seaweedfs, monkeypatch, changes)
        assert store.get(DIGEST, len(BLOB)) == BLOB
        with pytest.raises(BlobMissing):
            store.get(bytes(32), 10)
        with pytest.raises(StoreUnusable, match="AccessDenied"):
            store.put(b"something new")

    def test_a_bucket_that_is_not_there_blames_no_blob(
        self, seaweedfs: StoreServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(StoreUnusable, match="NoSuchBucket"):
            opened(seaweedfs, monkeypatch, where="s3://typo/task").get(DIGEST, len(BLOB))


class TestAzure:
    def test_a_wrong_key_is_named_and_blames_no_blob(
        self, azurite: StoreServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wrong = {"AZURE_STORAGE_ACCOUNT_KEY": base64.b64encode(bytes(64)).decode()}
        with pytest.raises(StoreUnusable, match=r"AuthorizationFailure|AuthenticationFailed"):
            opened(azurite, monkeypatch, wrong).get(bytes(32), 10)

    @pytest.mark.parametrize("where", ["az://typo/task", f"az://{AZURE_ACCOUNT}/blobs/task"])
    def test_a_container_that_is_not_there_blames_no_blob(
        self, azurite: StoreServer, monkeypatch: pytest.MonkeyPatch, where: str
    ) -> None:
        """The account is no part of an `az://` location: there, its name is taken for a container's."""
        with pytest.raises(StoreUnusable, match="ContainerNotFound"):
            opened(azurite, monkeypatch, where=where).get(bytes(32), 10)
