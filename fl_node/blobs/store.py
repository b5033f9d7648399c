"""The content-addressed store: blobs named by their sha256, in a folder, a bucket, or memory.

A blob with the digest "abcd..." lies at "ab/abcd...", all 64 hex digits, so that a folder, a bucket
and a static web server with the same files are the same store. Nothing that is read is believed
before it is hashed.
"""

from __future__ import annotations

import errno
import mmap
import os
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError
from obstore.store import LocalStore, ObjectStore, from_url

from fl_node.blobs.digest import Blob, digest_of
from fl_node.errors import BadData, BlobMissing, BlobOversized, BlobTampered, StoreUnusable

_FAILURES = (BaseError, OSError, ValueError, NotImplementedError)
_UNREADABLE = {errno.EACCES, errno.ELOOP, errno.ENOTDIR}
"""What a member can do to its own blob in a shared folder; the folder itself is still in order."""
# Plain HTTP is for those who write it into a URL; what comes over it is checked all the same.
_CLIENT: Any = {"connect_timeout": "5s", "timeout": "300s", "allow_http": True}
_RETRIES: Any = {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}


def key_of(digest: bytes) -> str:
    """Where a blob lies in any store: "ab/abcd..."."""
    name = digest.hex()
    return f"{name[:2]}/{name}"


def open_store(where: str | Path, must_exist: bool = False) -> Store:
    """Open a store.

    Args:
        where: A folder, made if it is not there, or a URL: file://, memory://, s3://bucket/prefix, gs://bucket/prefix,
            az://account/container/prefix, or http(s)://host/prefix. Credentials and endpoints come from each
            service's environment variables, such as AWS_ENDPOINT_URL.
        must_exist: Refuse a folder that is not there, instead of making it.

    Raises:
        StoreUnusable: Not a folder or URL of these kinds, or the folder cannot be made, or is not there.
    """
    scheme = str(where).partition("://")[0] if "://" in str(where) else None
    try:
        if scheme is None:
            return _open_folder(Path(where), must_exist)
        if scheme == "file":
            return _open_folder(Path(url2pathname(urlsplit(str(where)).path)), must_exist)
        if scheme == "memory":
            return Store(from_url("memory://"), "memory://")
        backend = from_url(str(where), client_options=_CLIENT, retry_config=_RETRIES)
        return Store(backend, str(where))
    except _FAILURES as error:
        raise StoreUnusable(f"store {where}: {_first_line(error)}") from None


def _open_folder(folder: Path, must_exist: bool) -> Store:
    if must_exist and not folder.is_dir():
        raise StoreUnusable(f"store {folder}: there is no such folder")
    return Store(LocalStore(prefix=folder, mkdir=True), str(folder), folder)


class Store:
    """Blobs by digest; `open_store` makes one. Threads and processes may use it all at once."""

    def __init__(self, backend: ObjectStore, where: str, folder: Path | None = None) -> None:
        self._backend = backend
        self._where = where
        self._folder = folder

    def __str__(self) -> str:
        return self._where

    def put(self, blob: Blob) -> bytes:
        """Store a blob, whole or not at all, and return its digest.

        What is there already is read and checked, and written over only if it is not this blob: the
        name says what belongs there, and garbage under it would keep everybody from going on.

        Raises:
            StoreUnusable: The store cannot be reached or written, or the disk is full.
        """
        digest = digest_of(blob)
        try:
            # Multipart uploads could not be create-only.
            obstore.put(
                self._backend, key_of(digest), memoryview(blob), mode="create", use_multipart=False
            )
        except AlreadyExistsError:
            self._mend(digest, blob)
        except _FAILURES as error:
            raise self._unusable("write", digest, error) from None
        return digest

    def get(self, digest: bytes, max_bytes: int) -> memoryview:
        """Read a blob and check it against its digest.

        Args:
            digest: 32 bytes.
            max_bytes: A longer blob is refused before it is read.

        Returns:
            A read-only view: of the file itself, mapped into memory, or of the downloaded bytes.

        Raises:
            BlobMissing: It is not in the store, or the store forbids reading it.
            BlobOversized: It is longer than `max_bytes`.
            BlobTampered: It does not hash to `digest`, or what lies there is no file or may not be read.
            StoreUnusable: The store cannot be reached or read.
        """
        try:
            blob = self._map(digest, max_bytes) if self._folder else self._load(digest, max_bytes)
        except _FAILURES as error:
            raise self._read_failure(digest, error) from None
        actual = digest_of(blob)
        if actual != digest:
            raise BlobTampered(f"blob {digest.hex()} in store {self} hashes to {actual.hex()}")
        return blob

    def _mend(self, digest: bytes, blob: Blob) -> None:
        try:
            self.get(digest, len(blob))
        except BadData:
            try:
                obstore.put(self._backend, key_of(digest), memoryview(blob), use_multipart=False)
            except _FAILURES as error:
                raise self._unusable("write", digest, error) from None

    def _map(self, digest: bytes, max_bytes: int) -> memoryview:
        assert self._folder is not None
        # Without waiting: opening a pipe that somebody put there would otherwise never return.
        file = os.open(self._folder / key_of(digest), os.O_RDONLY | os.O_NONBLOCK)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise BlobTampered(f"blob {digest.hex()} in store {self} is no file")
            _verify_size(digest, status.st_size, max_bytes)
            if not status.st_size:  # which cannot be mapped
                return memoryview(b"")
            return memoryview(mmap.mmap(file, status.st_size, access=mmap.ACCESS_READ))
        finally:
            os.close(file)

    def _load(self, digest: bytes, max_bytes: int) -> memoryview:
        answer = obstore.get(self._backend, key_of(digest))
        _verify_size(digest, answer.meta["size"], max_bytes)
        return memoryview(answer.bytes())

    def _read_failure(self, digest: bytes, error: Exception) -> BadData | StoreUnusable:
        """Tell a fault of one blob, which its sender answers for, from one of the whole store."""
        if self._folder and not os.access(self._folder, os.R_OK | os.X_OK):
            return self._unusable("read", digest, error)  # such as a disk that is not mounted
        if isinstance(error, FileNotFoundError):
            return BlobMissing(f"blob {digest.hex()} is not in store {self}")
        if isinstance(error, PermissionDeniedError):
            # S3 says so of an object that is not there, too, to those who may not list the bucket.
            return BlobMissing(f"blob {digest.hex()} in store {self} is not there or not for us")
        if self._folder and isinstance(error, OSError) and error.errno in _UNREADABLE:
            return BlobTampered(f"blob {digest.hex()} in store {self}: {error.strerror}")
        return self._unusable("read", digest, error)

    def _unusable(self, verb: str, digest: bytes, error: Exception) -> StoreUnusable:
        return StoreUnusable(f"store {self}: cannot {verb} {digest.hex()}: {_first_line(error)}")


def _verify_size(digest: bytes, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise BlobOversized(f"blob {digest.hex()} has {size} bytes, allowed are {max_bytes}")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
