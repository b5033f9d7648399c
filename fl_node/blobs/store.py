"""The content-addressed store: blobs named by their sha256, in a folder, a bucket, or memory.

The blob with digest "abcd..." (64 hex digits) lies at "ab/abcd...". A folder, a bucket and a static web server with the
same files are therefore the same store. Nothing that is read is trusted before its hash is checked.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit
from urllib.request import url2pathname

from obstore.exceptions import BaseError

from fl_node.blobs.digest import Blob, digest_of
from fl_node.blobs.folder import Folder
from fl_node.blobs.location import names_credentials, reason_of, shown_location
from fl_node.blobs.served import DEFAULT_LIMITS, Served, TimeLimits
from fl_node.errors import BadData, BlobTampered, StoreSlow, StoreUnusable

SAMPLES = 3
"""How many places of a large blob in a store are compared with the blob at hand."""

SAMPLE = 1 << 13
"""Bytes compared at each place. A blob of no more than `SAMPLES` of them is compared whole."""

_NEVER = float("inf")


class Place(Protocol):
    """Where files lie under keys: a `Folder`, or `Served` behind a URL. Described there."""

    def size_of(self, key: str, ends: float = ...) -> int | None: ...

    def read(
        self, key: str, max_bytes: int | None, span: slice = ..., ends: float = ...
    ) -> memoryview: ...

    def write(
        self,
        key: str,
        blob: Blob,
        ends: float | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None: ...

    def delete(self, key: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a store is from here, in bytes per second.

    Attributes:
        up: Towards the store.
        down: From the store.
    """

    up: float
    down: float


def key_of(digest: bytes) -> str:
    """A blob's key in any store: "ab/abcd..."."""
    name = digest.hex()
    return f"{name[:2]}/{name}"


def open_store(
    where: str | Path, must_exist: bool = False, limits: TimeLimits = DEFAULT_LIMITS
) -> Store:
    """Open a store. Nothing is asked of it yet.

    Args:
        where: A folder, or a URL: file://, memory://, s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, or
            http(s)://host/prefix. A missing folder is created. Credentials and endpoints come from each service's
            environment variables, such as AWS_ENDPOINT_URL (docs/stores.md); credentials in a URL are never shown.
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
            return Store(Folder(Path(where), must_exist))
        if scheme == "file":
            return Store(Folder(Path(url2pathname(urlsplit(text).path)), must_exist))
        return Store(Served(text, limits))
    except (BaseError, OSError, ValueError, NotImplementedError) as error:
        raise StoreUnusable(f"store {shown_location(text)}: {reason_of(error, text)}") from None


def store_at_hand(url: str) -> Store | None:
    """Open a store for somebody who can do without; None if there is none. Arguments as for `open_store`."""
    try:
        return open_store(url, must_exist=True)
    except StoreUnusable:
        return None


class Store:
    """Blobs by digest; created by `open_store`. Several threads and processes may use it at once.

    Attributes:
        sent: Bytes of blobs that went into the store since it was opened.
        received: Bytes of blobs that came from it.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._counting = threading.Lock()
        self.sent = 0
        self.received = 0

    def __str__(self) -> str:
        return str(self._place)

    def put(
        self,
        blob: Blob,
        ends: float | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> bytes:
        """Store a blob, whole or not at all, and return its digest. What `holds` finds there is not sent again.

        A large blob goes in parts where the store takes parts, so that a connection that is cut costs one part. What
        was sent is not read back: whoever reads it checks it.

        Args:
            blob: The bytes.
            ends: When to give up, on the clock of `time.monotonic`; None for as long as it takes at the slowest rate
                that the store's limits allow. A folder is not given up.
            progress: Called several times a second with the bytes that have arrived, which grow by whole parts. What
                it raises ends the upload and comes out of here.

        Raises:
            StoreSlow: The blob was not there in time; says how much was.
            StoreUnusable: The store cannot be reached or written, or the disk is full.
        """
        digest = digest_of(blob)
        if not self._lies_there(digest, blob, _NEVER if ends is None else ends):
            self._send(key_of(digest), blob, ends, progress)
        return digest

    def holds(self, blob: Blob, ends: float = _NEVER) -> bool:
        """Whether a blob is in the store, without reading all of it: its size, and its bytes at a few random places.

        So whoever damages a few bytes on purpose may pass, which the next reader notices. A blob of at most 24 KiB is
        compared whole.

        Args:
            blob: The bytes.
            ends: When to give up, on the clock of `time.monotonic`.

        Raises:
            StoreSlow: There was no time left.
            StoreUnusable: The store cannot be reached or read.
        """
        return self._lies_there(digest_of(blob), blob, ends)

    def get(self, digest: bytes, max_bytes: int, ends: float = _NEVER) -> memoryview:
        """Read a blob and check it against its digest.

        Args:
            digest: 32 bytes.
            max_bytes: A longer blob is refused before it is read.
            ends: When to give up, on the clock of `time.monotonic`. However late that is, a store behind a URL is not
                waited for longer than the slowest link of its limits would take.

        Returns:
            A read-only view of the file, mapped into memory, or of the downloaded bytes.

        Raises:
            BlobMissing: The blob is not in the store, or is kept from us while others are not.
            BlobOversized: It is longer than `max_bytes`.
            BlobTampered: It does not hash to `digest`, is not a regular file, or cannot be read.
            StoreSlow: It was not here in time.
            StoreUnusable: The store cannot be reached or read, or shows nothing to us.
        """
        blob = self._receive(key_of(digest), max_bytes, ends=ends)
        actual = digest_of(blob)
        if actual != digest:
            raise BlobTampered(f"blob {digest.hex()} in store {self} hashes to {actual.hex()}")
        return blob

    def measure(self, size: int = 1 << 20, ends: float | None = None) -> Speed:
        """Measure how fast the store is: write random bytes, read them, and delete them if we may.

        Args:
            size: How many bytes; at least 1.
            ends: When to give up, on the clock of `time.monotonic`.

        Raises:
            StoreSlow: There was no time left.
            StoreUnusable: The store cannot be written or read, or returns other bytes.
        """
        key, probe = f"speed/{secrets.token_hex(16)}", secrets.token_bytes(size)
        began = time.monotonic()
        self._send(key, probe, ends)
        sent = time.monotonic()
        try:
            found = self._receive(key, size, ends=_NEVER if ends is None else ends)
            received = time.monotonic()
            if found != probe:
                raise StoreUnusable(f"store {self}: returns other bytes than were written")
        except BadData as error:
            raise StoreUnusable(f"store {self}: what was just written: {error}") from None
        finally:
            with suppress(StoreUnusable):  # A member needs no right to delete.
                self._place.delete(key)
        return Speed(_rate(size, sent - began), _rate(size, received - sent))

    def _lies_there(self, digest: bytes, blob: Blob, ends: float) -> bool:
        key, view = key_of(digest), memoryview(blob)
        try:
            if self._place.size_of(key, ends) != len(view):
                return False
            return all(
                self._receive(key, len(view), span, ends) == view[span]
                for span in _spans(len(view))
            )
        except BadData:
            return False

    def _send(
        self,
        key: str,
        blob: Blob,
        ends: float | None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        sent = 0

        def note(now: int) -> None:
            nonlocal sent
            sent = now
            if progress:
                progress(now)

        try:
            self._place.write(key, blob, ends, note)
        finally:
            with self._counting:
                self.sent += sent

    def _receive(
        self, key: str, max_bytes: int, span: slice = slice(None), ends: float = _NEVER
    ) -> memoryview:
        try:
            found = self._place.read(key, max_bytes, span, ends)
        except StoreSlow as error:
            self._count(error.done)
            raise
        self._count(len(found))
        return found

    def _count(self, received: int) -> None:
        with self._counting:
            self.received += received


def _spans(size: int) -> Iterator[slice]:
    """The places of a blob of this size that are compared: all of it, or a few that nobody can foresee."""
    if size <= SAMPLES * SAMPLE:
        yield slice(0, size)
        return
    for start in random.SystemRandom().sample(range(size - SAMPLE + 1), SAMPLES):
        yield slice(start, start + SAMPLE)


def _rate(size: int, seconds: float) -> float:
    return size / max(seconds, 1e-6)
