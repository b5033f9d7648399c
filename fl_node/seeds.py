"""Every random choice follows from the manifest's seed through here, so that a run can be repeated."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *labels: str | int) -> int:
    """Derive an independent seed for a purpose, from 0 to 2**63 - 1.

    Args:
        seed: The root, normally the manifest's.
        labels: What the seed is for, such as ("train", round, client). Order matters.

    Source: the first 8 bytes of sha256 over the parts joined by newlines, top bit cleared; docs/protocol.md.
    """
    text = "\n".join(str(part) for part in (seed, *labels))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
