"""What reads blobs by digest: a store, or something nearer that is asked before it; and what all of them refuse."""

from __future__ import annotations

from typing import Protocol

from fl_node.errors import BlobOversized


class Reader(Protocol):
    """Gives blobs by digest, each checked against it."""

    def get(self, digest: bytes, max_bytes: int) -> memoryview:
        """Read a blob; arguments and errors as for `Store.get`."""


def verify_size(name: str, size: int, max_bytes: int | None) -> None:
    """Refuse a blob that is too long.

    Args:
        name: The blob's digest, in hex.
        size: Its bytes.
        max_bytes: How many it may have; None for any number.

    Raises:
        BlobOversized: It has more.
    """
    if max_bytes is not None and size > max_bytes:
        raise BlobOversized(f"blob {name} has {size} bytes; at most {max_bytes} are allowed")
