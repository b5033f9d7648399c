"""A blob's digest, which is its name."""

from __future__ import annotations

import hashlib

Blob = bytes | memoryview


def digest_of(blob: Blob) -> bytes:
    """The sha256 of a blob, 32 bytes."""
    return hashlib.sha256(blob).digest()
