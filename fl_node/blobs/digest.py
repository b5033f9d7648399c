"""The name of a blob."""

from __future__ import annotations

import hashlib

Blob = bytes | memoryview


def digest_of(blob: Blob) -> bytes:
    """The name of a blob: its sha256, 32 bytes."""
    return hashlib.sha256(blob).digest()
