"""What reads blobs by digest: a store, or something nearer that is asked before it."""

from __future__ import annotations

from typing import Protocol


class Reader(Protocol):
    """Gives blobs by digest, each checked against it."""

    def get(self, digest: bytes, max_bytes: int) -> memoryview:
        """Read a blob; arguments and errors as for `Store.get`."""
