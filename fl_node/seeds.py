"""Seeds for every random choice, derived from the manifest's seed so that a run can be repeated."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *labels: str | int) -> int:
    """Derive an independent seed for a purpose, from 0 to 2**63 - 1.

    Args:
        seed: The root, normally the manifest's.
        labels: What the seed is for, such as ("train", round, client). Order matters.

    Source: docs/protocol.md. It is the first 8 bytes of the sha256 of the parts joined by newlines, shifted right by
    one bit.
    """
    text = "\n".join(str(part) for part in (seed, *labels))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
