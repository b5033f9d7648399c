"""The store: whole blobs or none, nothing believed before it is hashed, one line when it cannot be used."""

from __future__ import annotations

import http.server
import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from doubles import small_manifest
from hypothesis import given
from hypothesis import strategies as st
from planting import PLANTS

from fl_node.blobs.digest import digest_of
from fl_node.blobs.model import decode_model, encode_model
from fl_node.blobs.served import TimeLimits
from fl_node.blobs.store import Store, key_of, open_store
from fl_node.errors import BlobMissing, BlobOversized, BlobTampered, StoreUnusable

BLOB = b"the weights" * 100
DIGEST = digest_of(BLOB)


@pytest.fixture(params=["folder", "file://", "memory://"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    where = {
        "folder": tmp_path / "not" / "there yet",
        "file://": (tmp_path / "a b").as_uri(),
        "memory://": "memory://",
    }
    return open_store(where[request.param])


def test_a_blob_comes_back(store):
    assert store.put(BLOB) == DIGEST
    assert store.get(DIGEST, len(BLOB)) == BLOB


@given(st.binary(max_size=100))
def test_any_blob_comes_back_and_so_does_an_empty_one(blob):
    store = open_store("memory://")
    assert bytes(store.get(store.put(blob), len(blob))) == blob


def test_an_empty_blob_comes_back_from_a_folder(tmp_path):
    store = open_store(tmp_path)
    assert bytes(store.get(store.put(b""), 0)) == b""


def test_putting_a_blob_twice_is_putting_it_once(store):
    assert store.put(BLOB) == store.put(memoryview(BLOB)) == DIGEST


def test_what_comes_back_cannot_be_written_to(store):
    store.put(BLOB)
    assert store.get(DIGEST, len(BLOB)).readonly


def test_a_blob_that_is_not_there_is_missing(store):
    with pytest.raises(BlobMissing, match=DIGEST.hex()):
        store.get(DIGEST, 10)


def test_a_blob_above_the_bound_is_refused(store):
    store.put(BLOB)
    with pytest.raises(BlobOversized, match="1100 bytes"):
        store.get(DIGEST, len(BLOB) - 1)


REAL_LIMIT = small_manifest().limits.model_bytes
"""The default of a manifest: above the size of a folder, as no test's own small limit is."""


def folder_with_a_file(path: Path) -> None:
    path.mkdir()
    (path / "file").touch()


@pytest.mark.parametrize("plant", [*PLANTS, folder_with_a_file])
@pytest.mark.timeout(60)
def test_what_is_no_blob_is_refused_at_once_and_mended_by_whoever_has_the_blob(tmp_path, plant):
    store = open_store(tmp_path)
    path = tmp_path / key_of(DIGEST)
    path.parent.mkdir()
    plant(path)
    with pytest.raises((BlobMissing, BlobTampered, BlobOversized), match=DIGEST.hex()):
        store.get(DIGEST, REAL_LIMIT)
    assert store.put(BLOB) == DIGEST
    assert store.get(DIGEST, REAL_LIMIT) == BLOB


@pytest.mark.parametrize("damage", [BLOB[:-1], BLOB[:-1] + b"!", b""])
def test_an_altered_blob_is_not_read_and_is_mended_by_whoever_has_the_right_one(tmp_path, damage):
    store = open_store(tmp_path)
    store.put(BLOB)
    path = tmp_path / key_of(DIGEST)
    path.write_bytes(damage)
    with pytest.raises(BlobTampered, match=DIGEST.hex()):
        store.get(DIGEST, len(BLOB))
    assert store.put(BLOB) == DIGEST
    assert path.read_bytes() == BLOB


def test_a_blob_that_is_there_is_not_written_again(tmp_path):
    store = open_store(tmp_path)
    store.put(BLOB)
    before = (tmp_path / key_of(DIGEST)).stat()
    store.put(BLOB)
    after = (tmp_path / key_of(DIGEST)).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_folder_that_must_exist(tmp_path):
    with pytest.raises(StoreUnusable, match="no such folder"):
        open_store(tmp_path / "nowhere", must_exist=True)
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_holds_plain_files_by_name(tmp_path):
    open_store(tmp_path).put(BLOB)
    files = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert files == [Path(DIGEST.hex()[:2]) / DIGEST.hex()]


def test_reading_from_a_folder_maps_the_file_and_copies_nothing(tmp_path):
    store = open_store(tmp_path)
    model = {"w": np.arange(10_000, dtype=np.float32)}
    view = store.get(store.put(encode_model(model)), 1 << 20)
    array = decode_model(view)["w"]
    assert np.shares_memory(array, np.frombuffer(view, np.uint8))
    assert str(tmp_path) in Path("/proc/self/maps").read_text()


def test_a_disk_that_is_full_is_said_in_one_line_and_leaves_nothing_behind(tmp_path):
    store = open_store(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(StoreUnusable, match="cannot write") as caught:
            store.put(BLOB)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    with pytest.raises(BlobMissing):
        store.get(DIGEST, len(BLOB))
    assert store.put(BLOB) == DIGEST


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_unusable(tmp_path):
    store = open_store(tmp_path)
    tmp_path.chmod(0o500)
    with pytest.raises(StoreUnusable):
        store.put(BLOB)


def test_a_folder_that_went_away_is_unusable_and_no_blob_is_blamed(tmp_path):
    store = open_store(tmp_path / "disk")
    (tmp_path / "disk").rmdir()
    with pytest.raises(StoreUnusable, match="cannot read"):
        store.get(DIGEST, 1)


def test_a_file_in_the_place_of_the_folder_is_unusable(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnusable, match="file"):
        open_store(tmp_path / "file" / "store")


@pytest.mark.parametrize("url", ["ftp://host/x", "s3:///", "s3://", "az://container"])
def test_a_url_of_no_known_kind_is_unusable_in_one_line(url):
    with pytest.raises(StoreUnusable, match=url.split(":")[0]) as caught:
        open_store(url)
    assert "\n" not in str(caught.value)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A static web server on loopback, and its folder."""
    handler = lambda *args: _Quiet(*args, directory=str(tmp_path))  # noqa: E731
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", tmp_path
        server.shutdown()
        thread.join()


def test_a_folder_behind_a_web_server_is_the_same_store_to_read(web):
    url, folder = web
    open_store(folder).put(BLOB)
    store = open_store(url)
    assert store.get(DIGEST, len(BLOB)) == BLOB
    with pytest.raises(BlobOversized):
        store.get(DIGEST, len(BLOB) - 1)
    with pytest.raises(BlobMissing):
        store.get(bytes(32), 1)
    (folder / key_of(DIGEST)).write_bytes(BLOB[:-1] + b"!")
    with pytest.raises(BlobTampered):
        store.get(DIGEST, len(BLOB))


def test_a_static_web_server_cannot_be_written_to(web):
    with pytest.raises(StoreUnusable) as caught:
        open_store(web[0]).put(BLOB)
    assert "\n" not in str(caught.value)


def test_nobody_at_the_endpoint_is_unusable():
    store = open_store("http://127.0.0.1:9", limits=TimeLimits(retries=0.2))
    with pytest.raises(StoreUnusable, match=r"127\.0\.0\.1:9") as caught:
        store.get(DIGEST, 1)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_bucket_is_the_same_store(monkeypatch):
    moto_server = pytest.importorskip("moto.server")
    boto3 = pytest.importorskip("boto3")
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        settings = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        client = boto3.client("s3", endpoint_url=settings["AWS_ENDPOINT_URL"])
        client.create_bucket(Bucket="weights")
        store = open_store("s3://weights/task")
        assert store.put(BLOB) == store.put(BLOB) == DIGEST
        assert store.get(DIGEST, len(BLOB)) == BLOB
        with pytest.raises(BlobOversized):
            store.get(DIGEST, 1)
        with pytest.raises(BlobMissing):
            store.get(bytes(32), 1)
        client.put_object(Bucket="weights", Key=f"task/{key_of(DIGEST)}", Body=b"other")
        assert store.put(BLOB) == DIGEST
        assert store.get(DIGEST, len(BLOB)) == BLOB
        with pytest.raises(StoreUnusable):
            open_store("s3://no-such-bucket/task").put(BLOB)
    finally:
        server.stop()
