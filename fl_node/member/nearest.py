"""Blobs from the nearest place: what a node made itself is not downloaded."""

from __future__ import annotations

from fl_node.blobs.reader import Reader, verify_size
from fl_node.member.state import NodeState


class Nearest:
    """The node's own updates and models from its state folder, everything else from the store.

    Args:
        state: The member's state folder.
        store: The task's store.
    """

    def __init__(self, state: NodeState, store: Reader) -> None:
        self._state = state
        self._store = store

    def get(self, digest: bytes, max_bytes: int) -> memoryview:
        """Read a blob; arguments and errors as for `Store.get`.

        Raises:
            StateUnusable: The state folder is damaged.
        """
        own = self._state.blob(digest)
        if own is None:
            return self._store.get(digest, max_bytes)
        verify_size(digest.hex(), len(own), max_bytes)
        return own
