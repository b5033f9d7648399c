"""bundle.json and blobs.json: what a bundle is of, and the blobs that it names and does not hold."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fl_node.blobs.canonical import canonical_json, parse_json
from fl_node.bundle.state import RecordedState
from fl_node.errors import BundleInvalid

FORMAT = "ganchor-bundle-1"
"""The format's name and version: other bytes are another version."""


def summary_to_json(state: RecordedState) -> bytes:
    """Encode bundle.json, which follows from the state: the format, and whose history it is, up to which head."""
    return canonical_json(
        {
            "chain_id": state.chain_id,
            "contract": state.contract,
            "final_digest": "0x" + state.view.parent_digest.hex(),
            "format": FORMAT,
            "head": "0x" + state.view.history_head.hex(),
            "task": state.task,
        }
    )


def verify_summary(content: bytes, state: RecordedState) -> None:
    """Check a bundle.json that somebody else wrote.

    Raises:
        BundleInvalid: It is of another format, or says something else than the state.
    """
    if content == summary_to_json(state):
        return
    if b'"%s"' % FORMAT.encode() not in content:
        raise BundleInvalid(f"bundle.json: expected the format {FORMAT!r}")
    raise BundleInvalid("bundle.json: says something else than state.json, or not as specified")


def names_to_json(digests: Iterable[bytes]) -> bytes:
    """Encode blobs.json: the digests of a history's blobs, 32 bytes each, in ascending order."""
    return canonical_json(sorted(digest.hex() for digest in set(digests)))


def read_names(content: bytes) -> list[bytes]:
    """Decode a blobs.json that somebody else wrote.

    Raises:
        BundleInvalid: It is not a list of distinct digests in ascending order.
    """
    try:
        listed = parse_json(content.decode())
    except ValueError:
        listed = None
    if not isinstance(listed, list) or not all(map(_is_digest, listed)):
        raise BundleInvalid("blobs.json: expected a list of digests, 64 hex digits each")
    digests = [bytes.fromhex(name) for name in listed]
    if names_to_json(digests) != content:
        raise BundleInvalid("blobs.json: not spelt as the specification says")
    return digests


def _is_digest(name: object) -> bool:
    return isinstance(name, str) and re.fullmatch("[0-9a-f]{64}", name) is not None
