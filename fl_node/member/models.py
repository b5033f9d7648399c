"""The models that a node starts rounds from: its own results where it has them, else the store's."""

from __future__ import annotations

import contextlib
from typing import TypeVar

from fl_node.blobs.digest import Blob
from fl_node.blobs.model import Model, decode_model, load_model
from fl_node.blobs.reader import Reader
from fl_node.errors import BlobMalformed, StateUnusable
from fl_node.manifest.manifest import Manifest
from fl_node.member.state import NodeState
from fl_node.round.form import state_objection

T = TypeVar("T")

HELD = 2
"""Models in memory: a round's parent, and what comes of the round or what came before it."""


class Models:
    """A task's models as one node has them.

    Args:
        manifest: The task.
        state: The member's state folder, where its own results outlive the process.
        reader: Gives all others.
    """

    def __init__(self, manifest: Manifest, state: NodeState, reader: Reader) -> None:
        self._manifest = manifest
        self._state = state
        self._reader = reader
        self._held: dict[bytes, Model] = {}
        self._made: dict[bytes, Blob] = {}

    def load(self, digest: bytes) -> Model:
        """A model by its digest.

        Raises:
            BadData: It is missing, damaged, or no model of this task.
            StoreUnusable: The store cannot be read.
        """
        if digest not in self._held:
            model = load_model(self._reader, digest, self._manifest.limits.model_bytes)
            if objection := state_objection(self._manifest, model.arrays):
                raise BlobMalformed(
                    f"no round can start from the model {digest.hex()}: {objection}"
                )
            _hold(self._held, digest, model)
        return self._held[digest]

    def made(self, digest: bytes) -> Blob | None:
        """The blob of a model that this node has computed itself; None if it did not, or no longer has it."""
        if digest not in self._made and (kept := self._state.blob(digest)) is not None:
            _hold(self._made, digest, kept)
        return self._made.get(digest)

    def keep(self, digest: bytes, blob: bytes, parent_digest: bytes) -> None:
        """Keep what this node made of a round, so that it is neither downloaded nor computed again."""
        _hold(self._made, digest, blob)
        _hold(self._held, digest, Model(digest, decode_model(blob)))
        # A full disk costs a download after a restart, and nothing else.
        with contextlib.suppress(StateUnusable):
            self._state.keep_model(digest, blob, parent_digest)


def _hold(values: dict[bytes, T], digest: bytes, value: T) -> None:
    values[digest] = value
    while len(values) > HELD:
        del values[next(iter(values))]
