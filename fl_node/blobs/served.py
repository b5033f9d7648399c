"""A place for blobs behind a URL: a bucket, a container, a web server. Everything here ends in time.

Two clients speak to it. The reading one gives an attempt up where no byte comes for a while, so that a long download
may take as long as its size allows. The writing one cannot see whether bytes still leave, and gives an attempt up where
a slow link would long have carried it; what is large therefore goes in parts, and a connection that is cut costs the
part that was under way.
"""

from __future__ import annotations

import asyncio
import atexit
import re
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError
from obstore.store import HTTPStore, MemoryStore, from_url

from fl_node.blobs.credentials import missing_credentials
from fl_node.blobs.digest import Blob
from fl_node.blobs.folder import name_of
from fl_node.blobs.location import reason_of, shown_location
from fl_node.blobs.reader import verify_size
from fl_node.errors import BlobMissing, StoreSlow, StoreUnusable

_T = TypeVar("_T")

PART = 5 << 20
"""Bytes of one part of an upload; the least that S3 takes."""

_CHUNK = 4 << 20
"""Bytes of a download that are asked for together."""

_ENDLESS = 1 << 62

_NO_RANGE = re.compile(
    "status code: 416|range request not supported|non-partial response|content-range|content_range|invalid range",
    re.IGNORECASE,
)
"""In errors where a part was asked for: of servers that know no parts, and for the parts of an empty blob."""

_TICK = 0.2
"""Seconds between two looks at an upload's progress."""

_OF_THE_STORE = re.compile(
    "NoSuchBucket|NoSuchContainer|ContainerNotFound|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|"
    "InvalidToken|RequestTimeTooSkewed|AuthenticationFailed|AccountIsDisabled|AuthorizationFailure"
)
"""S3's and Azure's error codes about the bucket or our credentials, not about the requested object."""

_DIALECT: Any = {"disable_bulk_delete": True}
"""Deleting several objects at once is not something that every server with S3's interface can do."""

_FAILURES = (BaseError, OSError, ValueError, NotImplementedError)


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """How long to wait for a store behind a URL. By default a store that is silent is given up within a minute, which
    is less than a round's shortest default window, 120 s.

    Attributes:
        connect: Seconds to connect.
        silence: Seconds without an answer, or without its next byte, after which an attempt is over.
        slowest: Bytes per second of the slowest link that is waited for: 64 KiB/s are half a megabit per second.
        retries: Seconds after which no new attempt begins.
    """

    connect: float = 5.0
    silence: float = 20.0
    slowest: float = 65536.0
    retries: float = 15.0

    def attempt(self, size: int) -> float:
        """Seconds that one attempt at so many bytes may take."""
        return self.silence + size / self.slowest


DEFAULT_LIMITS = TimeLimits()


class Served:
    """Files by key behind a URL."""

    def __init__(self, where: str, limits: TimeLimits) -> None:
        self._where = where
        self._limits = limits
        if where.startswith("memory:"):
            self._reading = self._writing = from_url("memory://")
        else:
            config: Any = _DIALECT if where.startswith("s3") else {}
            self._reading = from_url(where, config=config, **_reading_client(limits))
            patient = not isinstance(self._reading, HTTPStore)  # Few web servers let anybody write.
            self._writing = from_url(
                where, config=config, **_writing_client(limits, 20 if patient else 2)
            )
        if lacking := missing_credentials(self._reading):
            raise ValueError(lacking)
        self._takes_parts = not isinstance(self._writing, HTTPStore | MemoryStore)
        self._known: str | None = None

    def __str__(self) -> str:
        return shown_location(self._where)

    def size_of(self, key: str, ends: float = float("inf")) -> int | None:
        """Size in bytes of what lies under this key; None if nothing lies there that we may see.

        Args:
            key: The key.
            ends: When to give up, on the clock of `time.monotonic`.

        Raises:
            StoreSlow: There was no time left.
            StoreUnusable: The store cannot be reached.
        """
        began = time.monotonic()
        try:
            return _run(self._size_of(key, ends))
        except (FileNotFoundError, PermissionDeniedError):
            return None
        except TimeoutError as error:
            if time.monotonic() >= ends:
                raise self._slow("asked for", key, 0, 0, began) from None
            self._fail("read", key, error)
        except _FAILURES as error:
            self._fail("read", key, error)

    def read(
        self,
        key: str,
        max_bytes: int | None,
        span: slice = slice(None),
        ends: float = float("inf"),
    ) -> memoryview:
        """Download what lies under a key, or a part of it. A download that is cut goes on where it stood.

        Args:
            key: The key.
            max_bytes: What is longer is refused before it is read; None for any length.
            span: Which of its bytes; start and end, or neither.
            ends: When to give up, on the clock of `time.monotonic`.

        Returns:
            The bytes, read-only. Nothing about them is checked.

        Raises:
            BlobMissing: Nothing lies there, or this one is kept from us while others are not.
            BlobOversized: It is longer than `max_bytes`.
            StoreSlow: There was no time left.
            StoreUnusable: The store cannot be reached or read, or keeps everything from us.
        """
        download = _Download(self._reading, key, span, self._limits, ends)
        try:
            content = _run(download.run(max_bytes))
        except TimeoutError:
            raise self._slow(
                "received", key, download.done, download.size, download.began
            ) from None
        except (FileNotFoundError, PermissionDeniedError) as error:
            self._keep_from_us(key, error)
        except _FAILURES as error:
            self._fail("read", key, error)
        self._known = key
        return content.toreadonly()

    def write(
        self,
        key: str,
        blob: Blob,
        ends: float | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Upload a file, whole or not at all, in parts if it is large; what lies in its place is replaced.

        Args:
            key: The key.
            blob: Its content.
            ends: When to give up, on the clock of `time.monotonic`; None for as long as the limits allow.
            progress: Called several times a second with the bytes that have arrived, which grow by whole parts. What
                it raises ends the upload and comes out of here.

        Raises:
            StoreSlow: There was no time left.
            StoreUnusable: The store cannot be reached or written.
        """
        parts = _Parts(blob)
        upload = self._upload(key, parts, ends or float("inf"), progress)
        try:
            _run(upload)
        except TimeoutError:
            raise self._slow("sent", key, parts.done, len(blob), parts.began) from None
        except _FAILURES as error:
            self._fail("write", key, error)

    def delete(self, key: str) -> None:
        """Delete what lies under a key.

        Raises:
            StoreUnusable: It cannot be deleted.
        """
        try:
            _run(self._delete(key))
        except _FAILURES as error:
            self._fail("delete", key, error)

    async def _size_of(self, key: str, ends: float) -> int:
        patience = self._limits.retries + self._limits.silence
        async with asyncio.timeout_at(min(ends, time.monotonic() + patience)):
            return int((await obstore.head_async(self._reading, key))["size"])

    async def _delete(self, key: str) -> None:
        async with asyncio.timeout(self._limits.retries + self._limits.silence):
            await obstore.delete_async(self._writing, key)

    async def _upload(
        self, key: str, parts: _Parts, ends: float, progress: Callable[[int], None] | None
    ) -> None:
        """Send and, beside it, watch the clock. Raises TimeoutError when it has struck."""
        sending = asyncio.ensure_future(self._send(key, parts))
        try:
            while not sending.done():
                left = ends - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                await asyncio.wait({sending}, timeout=min(_TICK, left))
                if progress:
                    progress(parts.done)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        sending.result()
        if progress:
            progress(parts.size)

    async def _send(self, key: str, parts: _Parts) -> None:
        if self._takes_parts and parts.size > PART:
            # One after the other: two at once are no faster on a slow link, and a cut would cost both.
            await obstore.put_async(
                self._writing, key, parts, use_multipart=True, chunk_size=PART, max_concurrency=1
            )
        else:
            await obstore.put_async(self._writing, key, memoryview(parts.blob), use_multipart=False)

    def _keep_from_us(self, key: str, error: Exception) -> NoReturn:
        """Distinguish a blob that is not there from a store that shows us nothing, such as with a revoked key.

        S3 refuses what is missing to those who may not list the bucket, and other servers call missing whatever one
        has no right to. Only what could be read before tells: if it is still there, this one blob is not.
        """
        refused = isinstance(error, PermissionDeniedError)
        if _OF_THE_STORE.search(str(error)):
            self._fail("read", key, error)
        known = None if self._known in (None, key) else self._known
        if refused and known is None:
            self._fail("read", key, error)
        if known is not None and self.size_of(known) is None:
            raise StoreUnusable(
                f"store {self}: cannot read {name_of(key)}, nor {name_of(known)}, which it could before: "
                f"{self._reason(error)}; check the credentials and the bucket"
            ) from None
        denied = ", or access is denied" if refused else ""
        raise BlobMissing(f"blob {name_of(key)} is not in store {self}{denied}") from None

    def _slow(self, verb: str, key: str, done: int, size: int, began: float) -> StoreSlow:
        seconds = time.monotonic() - began
        return StoreSlow(
            f"store {self}: {done / 1e6:.1f} of {size / 1e6:.1f} MB of {name_of(key)} {verb} in {seconds:.0f} s; "
            "no time was left",
            done,
            size,
            seconds,
        )

    def _fail(self, verb: str, key: str, error: Exception) -> NoReturn:
        reason = self._reason(error)
        raise StoreUnusable(f"store {self}: cannot {verb} {name_of(key)}: {reason}") from None

    def _reason(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return "no answer in time"
        return reason_of(error, self._where)


class _Parts:
    """A blob as the parts that an upload asks for, which tells how many have arrived."""

    def __init__(self, blob: Blob) -> None:
        self.blob = blob
        self.size = len(blob)
        self.began = time.monotonic()
        self._asked = 0

    def __iter__(self) -> Iterator[memoryview]:
        view = memoryview(self.blob)
        for start in range(0, self.size, PART):
            self._asked += 1
            yield view[start : start + PART]
        self._asked += 1

    @property
    def done(self) -> int:
        """Bytes that have certainly arrived: a part is asked for while the one before it is under way."""
        return min(self.size, PART * max(0, self._asked - 2))


class _Download:
    """One download: where it stands, and what is left of its time."""

    def __init__(self, store: Any, key: str, span: slice, limits: TimeLimits, ends: float) -> None:
        self._store = store
        self._key = key
        self._span = span
        self._limits = limits
        self._ends = ends
        self.began = time.monotonic()
        self.done = 0
        self.size = 0

    async def run(self, max_bytes: int | None) -> memoryview:
        """Raises TimeoutError, BlobOversized, or whatever the library raises."""
        patience = self._limits.retries + self._limits.silence
        async with asyncio.timeout_at(min(self._ends, self.began + patience)) as timer:
            answer = await self._begin()
            verify_size(name_of(self._key), answer.meta["size"], max_bytes)
            start, stop, _ = self._span.indices(answer.meta["size"])
            self.size = stop - start
            longest = self._limits.retries + self._limits.attempt(self.size)
            timer.reschedule(min(self._ends, self.began + longest))
            pieces = await self._pieces(answer, start, stop)
        return pieces[0] if len(pieces) == 1 else memoryview(b"".join(pieces))

    async def _begin(self) -> Any:
        """Ask for the beginning of the span, which also tells the size; or for all, where that cannot be."""
        start = self._span.start or 0
        end = min(start + _CHUNK, self._span.stop or _ENDLESS)
        try:
            return await self._ask(start, end)
        except BaseError as error:
            if not _NO_RANGE.search(str(error)):
                raise
            return await obstore.get_async(self._store, self._key)

    async def _ask(self, start: int, end: int) -> Any:
        return await obstore.get_async(self._store, self._key, options={"range": (start, end)})

    async def _take(self, answer: Any, start: int) -> memoryview:
        """What an answer holds of the span."""
        content = memoryview(await answer.bytes_async())
        if len(content) != answer.range[1] - answer.range[0]:
            raise ValueError("the answer is longer or shorter than it said")
        wanted = content[start - answer.range[0] :][: self.size]
        self.done += len(wanted)
        return wanted

    async def _pieces(self, answer: Any, start: int, stop: int) -> list[memoryview]:
        """All of the span, chunk by chunk. A cut counts only if nothing came since the last one."""
        pieces: list[memoryview] = []
        failed = False
        while (at := start + self.done) < stop:
            try:
                answer = answer or await self._ask(at, min(at + _CHUNK, stop))
                pieces.append(await self._take(answer, at))
                failed = False
            except BaseError:
                if failed:
                    raise
                failed = True
            answer = None
        return pieces


def _reading_client(limits: TimeLimits) -> Any:
    return {
        "client_options": {
            **_connecting(limits),
            "read_timeout": timedelta(seconds=limits.silence),
            "timeout": timedelta(days=1),
        },
        "retry_config": _retrying(limits.retries),
    }


def _writing_client(limits: TimeLimits, attempts: int) -> Any:
    attempt = limits.attempt(PART)  # The clock of the retries runs from the part's first attempt.
    return {
        "client_options": {**_connecting(limits), "timeout": timedelta(seconds=attempt)},
        "retry_config": _retrying(limits.retries + attempt, attempts),
    }


def _connecting(limits: TimeLimits) -> Any:
    # Plain HTTP is used only if the URL says http://. Blobs are checked by hash either way.
    return {"connect_timeout": timedelta(seconds=limits.connect), "allow_http": True}


def _retrying(seconds: float, attempts: int = 20) -> Any:
    """Twenty attempts take about a minute, which outlasts a connection that is gone, unless the time is over before."""
    return {
        "max_retries": attempts,
        "retry_timeout": timedelta(seconds=seconds),
        "backoff": {
            "init_backoff": timedelta(milliseconds=100),
            "max_backoff": timedelta(seconds=5),
            "base": 3,
        },
    }


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    global _last_answer
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    else:
        with ThreadPoolExecutor(
            1
        ) as thread:  # A notebook's loop, for example, cannot be waited in.
            return thread.submit(asyncio.run, work).result()
    finally:
        _last_answer = time.monotonic()


_last_answer = 0.0
_PARTING = 0.25


@atexit.register
def _part_in_peace() -> None:
    """Let the library's thread put down the last answer: Python aborts a process that ends under its hands."""
    time.sleep(max(0.0, _last_answer + _PARTING - time.monotonic()))
