"""The content-addressed store: blobs named by their sha256, in a folder, a bucket, or memory.

The blob with digest "abcd..." (64 hex digits) lies at "ab/abcd...". A folder, a bucket and a static web server with the
same files are therefore the same store. Nothing that is read is trusted before its hash is checked.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError
from obstore.store import LocalStore, ObjectStore, from_url

from chain.errors import FileUnusable
from chain.files import mapped, regular_file
from fl_node.blobs.digest import Blob, digest_of
from fl_node.blobs.location import names_credentials, reason_of, shown_location
from fl_node.errors import BadData, BlobMissing, BlobOversized, BlobTampered, StoreUnusable

_FAILURES = (BaseError, OSError, ValueError, NotImplementedError)
_UNREADABLE = {errno.EACCES, errno.ELOOP, errno.ENOTDIR}
"""Errors that a member can cause for its own blob in a shared folder; the folder itself is still in order."""

_STORES_FAULT = re.compile(
    "NoSuchBucket|NoSuchContainer|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|"
    "RequestTimeTooSkewed|AuthenticationFailed"
)
"""S3 and Azure error codes about the bucket or our credentials, not about the requested object."""


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """How long to wait for a store behind a URL, in seconds.

    A read or write ends within `request` + `retries` and one pause between attempts. By default this is less than a
    round's shortest default window, 120 s.

    Attributes:
        connect: Time to connect.
        request: Time for one whole attempt, including all bytes of the blob.
        retries: No new attempt begins later than this after the first one began.
    """

    connect: float = 5.0
    request: float = 60.0
    retries: float = 30.0


DEFAULT_LIMITS = TimeLimits()


def key_of(digest: bytes) -> str:
    """A blob's key in any store: "ab/abcd..."."""
    name = digest.hex()
    return f"{name[:2]}/{name}"


def open_store(
    where: str | Path, must_exist: bool = False, limits: TimeLimits = DEFAULT_LIMITS
) -> Store:
    """Open a store.

    Args:
        where: A folder, or a URL: file://, memory://, s3://bucket/prefix, gs://bucket/prefix,
            az://account/container/prefix, or http(s)://host/prefix. A missing folder is created. Credentials and
            endpoints come from each service's environment variables, such as AWS_ENDPOINT_URL; credentials in a URL
            are never shown.
        must_exist: Refuse a missing folder instead of creating it.
        limits: How long to wait for a store behind a URL.

    Raises:
        StoreUnusable: The location is not one of these kinds, or the folder is missing or cannot be created.
    """
    text = str(where)
    scheme = text.partition("://")[0] if "://" in text else None
    try:
        if names_credentials(text):
            raise ValueError("this looks like a URL, but has no scheme such as https://")
        if scheme is None:
            return _open_folder(Path(where), must_exist)
        if scheme == "file":
            return _open_folder(Path(url2pathname(urlsplit(text).path)), must_exist)
        if scheme == "memory":
            return Store(from_url("memory://"), "memory://")
        return Store(from_url(text, **_client(limits)), text)
    except _FAILURES as error:
        raise StoreUnusable(f"store {shown_location(text)}: {reason_of(error, text)}") from None


def store_at_hand(url: str) -> Store | None:
    """Open a store for somebody who can do without; None if there is none. Arguments as for `open_store`."""
    try:
        return open_store(url, must_exist=True)
    except StoreUnusable:
        return None


def _client(limits: TimeLimits) -> Any:
    return {
        "client_options": {
            "connect_timeout": timedelta(seconds=limits.connect),
            "timeout": timedelta(seconds=limits.request),
            # Plain HTTP is used only if the URL says http://. Blobs are checked by hash either way.
            "allow_http": True,
        },
        "retry_config": {"max_retries": 3, "retry_timeout": timedelta(seconds=limits.retries)},
    }


def _open_folder(folder: Path, must_exist: bool) -> Store:
    if must_exist and not folder.is_dir():
        raise StoreUnusable(f"store {folder}: no such folder")
    return Store(LocalStore(prefix=folder, mkdir=not must_exist), str(folder), folder)


class Store:
    """Blobs by digest; created by `open_store`. Several threads and processes may use it at once."""

    def __init__(self, backend: ObjectStore, where: str, folder: Path | None = None) -> None:
        self._backend = backend
        self._where = where
        self._folder = folder

    def __str__(self) -> str:
        return shown_location(self._where)

    def put(self, blob: Blob) -> bytes:
        """Store a blob, whole or not at all, and return its digest.

        If something already lies under the digest, it is read and checked, and overwritten only if it is not this blob:
        garbage there would block every member.

        Raises:
            StoreUnusable: The store cannot be reached or written, or the disk is full.
        """
        digest = digest_of(blob)
        try:
            # A multipart upload cannot be create-only.
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
            A read-only view of the file, mapped into memory, or of the downloaded bytes.

        Raises:
            BlobMissing: The blob is not in the store, or the store forbids reading it.
            BlobOversized: It is longer than `max_bytes`.
            BlobTampered: It does not hash to `digest`, is not a regular file, or cannot be read.
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
                self._clear(digest)
                obstore.put(self._backend, key_of(digest), memoryview(blob), use_multipart=False)
            except _FAILURES as error:
                raise self._unusable("write", digest, error) from None

    def _clear(self, digest: bytes) -> None:
        """Move a folder that somebody created under a blob's name out of the way; a file is simply overwritten."""
        if self._folder and (path := self._folder / key_of(digest)).is_dir():
            path.rename(path.with_name(f"no-blob-{secrets.token_hex(8)}"))

    def _map(self, digest: bytes, max_bytes: int) -> memoryview:
        assert self._folder is not None
        try:
            with regular_file(self._folder / key_of(digest)) as descriptor:
                _verify_size(digest, os.fstat(descriptor).st_size, max_bytes)
                return mapped(descriptor)
        except FileUnusable:
            raise BlobTampered(
                f"blob {digest.hex()} in store {self} is not a regular file"
            ) from None

    def _load(self, digest: bytes, max_bytes: int) -> memoryview:
        answer = obstore.get(self._backend, key_of(digest))
        _verify_size(digest, answer.meta["size"], max_bytes)
        return memoryview(answer.bytes())

    def _read_failure(self, digest: bytes, error: Exception) -> BadData | StoreUnusable:
        """Distinguish a fault of one blob, for which its sender is responsible, from a fault of the whole store."""
        if self._folder and not os.access(self._folder, os.R_OK | os.X_OK):
            return self._unusable("read", digest, error)  # such as a disk that is not mounted
        if not self._folder and _STORES_FAULT.search(str(error)):
            return self._unusable("read", digest, error)
        if isinstance(error, FileNotFoundError):
            return BlobMissing(f"blob {digest.hex()} is not in store {self}")
        if isinstance(error, PermissionDeniedError):
            # S3 also answers this for a missing object if the reader may not list the bucket.
            return BlobMissing(f"blob {digest.hex()} is not in store {self}, or access is denied")
        if self._folder and isinstance(error, OSError) and error.errno in _UNREADABLE:
            return BlobTampered(f"blob {digest.hex()} in store {self}: {error.strerror}")
        return self._unusable("read", digest, error)

    def _unusable(self, verb: str, digest: bytes, error: Exception) -> StoreUnusable:
        return StoreUnusable(
            f"store {self}: cannot {verb} {digest.hex()}: {reason_of(error, self._where)}"
        )


def _verify_size(digest: bytes, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise BlobOversized(
            f"blob {digest.hex()} has {size} bytes; at most {max_bytes} are allowed"
        )
