"""Who puts a round's aggregate into the store: one member at once, the others only if it is not there.

All who attest have the same bytes. If each sent them, half of what a federation uploads would be there already.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from chain.types import Entry, Look, Phase, RoundFinalised, TaskState, indices
from fl_node.blobs.digest import Blob
from fl_node.blobs.store import Store
from fl_node.member.models import HELD, Models
from fl_node.member.uploading import Uploads

PATIENCE_SECONDS = 2
"""How long each in line is given at least: the next one looks so much later."""

BYTES_PER_SECOND = 1_000_000
"""The uplink that each in line is given time for besides; at 8 Mbit/s."""


def line_to_store(round: int, included: int, members: int) -> list[int]:
    """The members' indices in the order in which they are to store a round's aggregate; the first does so at once.

    The included members take turns from round to round; all others come after them.

    Args:
        round: The round, from 1.
        included: Bitmap of the members whose updates it includes.
        members: How many the task has.
    """
    first = list(indices(included))
    turn = round % len(first) if first else 0
    line = first[turn:] + first[:turn]
    return line + [one for one in range(members) if one not in line]


def seconds_before(place: int, size: int) -> int:
    """Seconds from the attestation after which a member looks whether the aggregate is there.

    Args:
        place: The member's place in line.
        size: Bytes of the aggregate.
    """
    return place * (PATIENCE_SECONDS + size // BYTES_PER_SECOND)


@dataclass(frozen=True, slots=True)
class _Due:
    """An aggregate that this node is to see stored.

    Attributes:
        attempt: Round and attempt that it was made in.
        since: When to look whether it is there, and else to send it; in the chain's seconds.
        first: Index of the member whose turn it is.
        final: Whether it has become the task's model.
    """

    attempt: tuple[int, int]
    since: int
    first: int
    final: bool = False


class Storing:
    """Sees to it that what the node made of its rounds gets into the store.

    Args:
        store: The task's store.
        uploads: The node's uploads.
        models: The node's models.
        index: The member's index.
        members: How many the task has.
    """

    def __init__(
        self, store: Store, uploads: Uploads, models: Models, index: int, members: int
    ) -> None:
        self._store = store
        self._uploads = uploads
        self._models = models
        self._index = index
        self._members = members
        self._due: dict[bytes, _Due] = {}
        self._settled = b""

    def begin(self, look: Look, digest: bytes, blob: Blob, included: int) -> None:
        """Take on an aggregate that the member attests to; if it is its turn, the upload begins.

        Whatever is still due of the round before is looked after now at the latest.
        """
        self._due = {other: replace(due, since=look.now) for other, due in self._due.items()}
        state = look.state
        line = line_to_store(state.round, included, self._members)
        since = look.now + seconds_before(line.index(self._index), len(blob))
        self._due[digest] = _Due((state.round, state.attempt), since, line[0])
        self._drop_lost(state)
        self._send_due(look)

    def decided(self, look: Look, digest: bytes, entries: Iterable[Entry]) -> None:
        """Take the turn of a member that has not attested, if it was this member's vote that made the round final.

        Args:
            look: As it was before the vote.
            digest: The aggregate's.
            entries: What the vote added to the log.
        """
        due = self._due.get(digest)
        final = any(isinstance(entry.event, RoundFinalised) for entry in entries)
        if final and due and look.state.awaited >> due.first & 1:
            self._due[digest] = replace(due, since=look.now)
            self._send_due(look)

    def under_way(self, state: TaskState) -> set[bytes]:
        """The digests of the aggregates that this node has to see to."""
        self._drop_lost(state)
        return set(self._due)

    def go_on(self, look: Look) -> bool:
        """Do what is due; return whether all is in the store that it is this node's to see to.

        Raises:
            StoreUnusable: The store cannot be reached, or an upload failed; call again later.
        """
        self._drop_lost(look.state)
        self._find_earlier(look)
        self._send_due(look)
        for digest in list(self._due):
            if self._is_there(look, digest):
                del self._due[digest]
                self._settled = digest
        return not self._due

    def _is_there(self, look: Look, digest: bytes) -> bool:
        if look.now >= self._due[digest].since:
            return self._uploads.arrived(digest)
        if look.state.phase is not Phase.FINISHED:
            return False
        # After the end nobody comes who would look again, so look whether the one whose turn it is has done it.
        blob = self._models.made(digest)
        return blob is None or self._store.holds(blob)

    def _send_due(self, look: Look) -> None:
        for digest, due in list(self._due.items()):
            blob = self._models.made(digest)
            if blob is None:
                del self._due[digest]  # Two rounds have passed since: others have seen to it.
            elif look.now >= due.since:
                self._uploads.send(digest, _giving(blob), math.inf)

    def _drop_lost(self, state: TaskState) -> None:
        """Forget aggregates that did not become the task's model, and cannot any more; and all but the last two."""
        attempt = (state.round, state.attempt)
        for digest, due in list(self._due.items())[::-1]:
            final = due.final or digest == state.parent_digest
            may_become = state.phase is Phase.ATTEST and due.attempt == attempt
            self._due[digest] = replace(due, final=final)
            if not final and not may_become:
                del self._due[digest]
        for old in list(self._due)[:-HELD]:
            del self._due[old]

    def _find_earlier(self, look: Look) -> None:
        """The task's model, if an earlier run of this node made it, or if it was computed again."""
        digest = look.state.parent_digest
        if digest in self._due or digest == self._settled:
            return
        if (blob := self._models.made(digest)) is not None:
            since = look.now + seconds_before(1 + self._index, len(blob))
            self._due[digest] = _Due((look.state.round, look.state.attempt), since, self._index)


def _giving(blob: Blob) -> Callable[[], Blob]:
    return lambda: blob
