"""Blobs on their way into the store, beside the node's loop: a slow upload keeps nobody else waiting.

The loop says what it wants to be there, looks whether it is, and gives up what is no longer of use. A node that
uploaded within its loop would see a deadline only after its last byte, and be late for the next round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fl_node.blobs.digest import Blob
from fl_node.blobs.store import Store
from fl_node.errors import StoreSlow

MEASURED_BYTES = 1 << 16
"""A shorter upload says little about the uplink: most of its time is latency."""

T = TypeVar("T")


class AtOnce(Executor):
    """Carries everything out where it is submitted: an upload is over when `Uploads.send` returns."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@dataclass(slots=True)
class _Upload:
    """One blob under way. `done` bytes had arrived when the store was last heard of."""

    size: int
    ends: float
    began: float = field(default_factory=time.monotonic)
    done: int = 0
    future: Future[bytes] | None = None

    def progress(self, done: int) -> None:
        """Called from the thread that sends; what it raises ends the upload."""
        self.done = done
        if time.monotonic() >= self.ends:
            seconds = time.monotonic() - self.began
            raise StoreSlow(
                f"an upload was given up after {done / 1e6:.1f} of {self.size / 1e6:.1f} MB "
                f"in {seconds:.0f} s: its time was over",
                done,
                self.size,
                seconds,
            )


class Uploads:
    """The uploads of one node. Its methods return at once, except with `AtOnce`.

    Args:
        store: Where the blobs go.
        executor: Carries the uploads out, for example in threads; `close` does not end it.

    Attributes:
        rate: Bytes per second that the last upload of some length reached, the uplink's pace; None before.
    """

    def __init__(self, store: Store, executor: Executor | None = None) -> None:
        self._store = store
        self._executor = executor or AtOnce()
        self._uploads: dict[bytes, _Upload] = {}
        self.rate: float | None = None

    def send(self, digest: bytes, blob: Callable[[], Blob], ends: float) -> None:
        """Begin to upload a blob, unless that has begun already; then only its end is set anew.

        Args:
            digest: The blob's.
            blob: Gives it.
            ends: When to give up, on the clock of `time.monotonic`.
        """
        if digest in self._uploads:
            self._uploads[digest].ends = ends
            return
        content = blob()
        upload = self._uploads[digest] = _Upload(len(content), ends)
        upload.future = self._executor.submit(self._put, upload, content)

    def arrived(self, digest: bytes, seconds: float = 0) -> bool:
        """Whether a blob that was sent is in the store.

        Args:
            digest: The blob's.
            seconds: How long to wait for it, if it is under way.

        Raises:
            StoreUnusable: The upload failed or was given up; `send` begins it anew.
        """
        upload = self._uploads.get(digest)
        if upload is None or upload.future is None:
            return False
        wait([upload.future], timeout=seconds)
        if not upload.future.done():
            return False
        if upload.future.exception():
            del self._uploads[digest]
        upload.future.result()
        return True

    def keep_only(self, wanted: Collection[bytes]) -> list[StoreSlow]:
        """Give up and forget all uploads but the wanted ones.

        Returns:
            For each of them that was still under way how far it had come.
        """
        given_up: list[StoreSlow] = []
        for digest in [digest for digest in self._uploads if digest not in wanted]:
            upload = self._uploads.pop(digest)
            under_way = upload.future and not upload.future.done()
            upload.ends = 0.0
            if under_way:
                try:
                    upload.progress(upload.done)
                except StoreSlow as slow:
                    given_up.append(slow)
        return given_up

    def close(self) -> None:
        """Give up all that is under way."""
        self.keep_only(())

    def _put(self, upload: _Upload, content: Blob) -> bytes:
        upload.began = time.monotonic()
        try:
            return self._store.put(content, progress=upload.progress)
        finally:
            seconds = time.monotonic() - upload.began
            if upload.done >= MEASURED_BYTES:
                self.rate = upload.done / max(seconds, 1e-6)
