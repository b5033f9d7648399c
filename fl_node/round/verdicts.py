"""Which of a round's revealed updates count. Each update is judged once, and its verdict does not change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from chain.types import Address, UpdateRevealed
from fl_node.blobs.digest import digest_of
from fl_node.blobs.encoding import (
    LONGEST_VERSION,
    Update,
    UpdateHeader,
    decode_update,
    encoding_seed,
    update_size,
)
from fl_node.blobs.metrics import LONGEST, Metrics
from fl_node.blobs.model import Model
from fl_node.blobs.reader import Reader
from fl_node.blobs.sealed import MAGIC, unseal
from fl_node.blobs.tensors import payload_of
from fl_node.errors import BadData, StoreUnusable, UpdateInvalid
from fl_node.manifest.manifest import Manifest
from fl_node.round.form import Form, update_form
from fl_node.round.validity import verify_update

BEGINNING_BYTES = 4096
"""Number of bytes that distinguish an update's content from almost any other's."""


@dataclass(frozen=True, slots=True)
class Valid:
    """What is remembered of a valid update: its content's first bytes, the size of what lies in the store, and parts of
    its header."""

    beginning: bytes
    blob_bytes: int
    steps: int
    metrics: Metrics


Verdict = Valid | BadData


class Verdicts:
    """The verdict on each revealed update, given when its blob is first read.

    Only one update is held in memory at a time. If a blob cannot be read a second time, its verdict stays: that is the
    store's fault, not the client's, and raises `StoreUnusable`.
    """

    def __init__(self, store: Reader, manifest: Manifest, parent: Model) -> None:
        self._store = store
        self._manifest = manifest
        self._parent = parent
        self._form = update_form(manifest, parent.arrays)
        self._given: dict[UpdateRevealed, Verdict] = {}

    def judge(self, reveals: Iterable[UpdateRevealed]) -> Iterator[Update]:
        """Read and judge the updates that have no verdict yet, and yield the valid ones.

        Raises:
            StoreUnusable: The store cannot be read; no client is blamed for that.
        """
        for revealed in reveals:
            update = self._judge(revealed)
            if update is not None:
                yield update

    def read_again(self, reveals: Iterable[UpdateRevealed]) -> Iterator[Update]:
        """Read updates with the verdict valid again, and yield them.

        Raises:
            StoreUnusable: One of them has been removed from the store, or altered.
        """
        for revealed in reveals:
            yield self._verified(revealed, self._opened_again(revealed))

    def __getitem__(self, revealed: UpdateRevealed) -> Verdict:
        """The verdict on an update that has been judged."""
        return self._given[revealed]

    def repeats(self, reveals: Sequence[UpdateRevealed]) -> dict[UpdateRevealed, UpdateInvalid]:
        """Valid updates with the same content as an earlier update of another client.

        Equal contents have the same first bytes, so the whole content rarely has to be hashed. A client may send its
        own update again after an abort.

        Args:
            reveals: All reveals that have been judged, in the order of the log.

        Raises:
            StoreUnusable: As `read_again`.
        """
        beginnings = {
            revealed: verdict.beginning
            for revealed, verdict in self._given.items()
            if isinstance(verdict, Valid)
        }
        counts = Counter(beginnings.values())
        first: dict[bytes, Address] = {}
        repeats: dict[UpdateRevealed, UpdateInvalid] = {}
        for revealed in reveals:
            if revealed in beginnings and counts[beginnings[revealed]] > 1:
                content = digest_of(payload_of(self._opened_again(revealed)))
                original = first.setdefault(content, revealed.client)
                if original != revealed.client:
                    repeats[revealed] = UpdateInvalid("repeat", "new content", f"{original}'s")
        return repeats

    def _judge(self, revealed: UpdateRevealed) -> Update | None:
        if revealed in self._given:
            return None
        try:
            if revealed.client not in self._manifest.addresses:
                raise UpdateInvalid("member", "a member of the manifest", revealed.client)
            stored = self._stored(revealed)
            blob = unseal(stored, revealed.reveal.salt)
            update = self._verified(revealed, blob)
        except BadData as fault:
            self._given[revealed] = fault
            return None
        beginning, header = bytes(payload_of(blob)[:BEGINNING_BYTES]), update.header
        self._given[revealed] = Valid(beginning, len(stored), header.steps, header.metrics)
        return update

    def _stored(self, revealed: UpdateRevealed) -> memoryview:
        """The revealed blob as it lies in the store, sealed or plain."""
        header = expected_header(self._manifest, self._parent.digest, revealed)
        most = largest_update(self._manifest, self._form, header)
        return self._store.get(revealed.reveal.update_digest, most)

    def _opened_again(self, revealed: UpdateRevealed) -> memoryview:
        try:
            return unseal(self._stored(revealed), revealed.reveal.salt)
        except BadData as fault:
            raise StoreUnusable(
                f"the update of {revealed.client} was valid when it was first read; now: {fault}"
            ) from None

    def _verified(self, revealed: UpdateRevealed, blob: memoryview) -> Update:
        """The decoded update, if it keeps every rule that needs no other update."""
        return verify_update(
            decode_update(blob),
            expected_header(self._manifest, self._parent.digest, revealed),
            self._manifest.strategy.encode,
            self._form,
            self._manifest.limits,
        )


def largest_update(manifest: Manifest, form: Form, header: UpdateHeader) -> int:
    """The most bytes that an update may have in the store, sealed.

    Args:
        manifest: The task.
        form: Of its updates.
        header: With the longest of everything that the chain does not record.
    """
    stages = manifest.strategy.encode.stages
    most = update_size(header, form.encoded(stages))
    if form.published:
        # Their shapes are numbers of the genesis, so its bytes do not bound them: the limit of a model does.
        apart = replace(form, published={}).encoded(stages)
        most = min(most, update_size(header, apart) + manifest.limits.model_bytes)
    return most + len(MAGIC)


def expected_header(
    manifest: Manifest, parent_digest: bytes, revealed: UpdateRevealed
) -> UpdateHeader:
    """What a revealed update must state (`verify_update`), with the longest of what only its client knows."""
    return UpdateHeader(
        task=revealed.task,
        round=revealed.round,
        client=revealed.client,
        parent_digest=parent_digest,
        num_examples=revealed.reveal.num_examples,
        steps=manifest.limits.steps,
        codec=manifest.strategy.encode.label,
        seed=encoding_seed(manifest.seed, revealed.round, revealed.client),
        metrics=dict.fromkeys(manifest.learner.metrics, LONGEST),
        versions=dict.fromkeys(manifest.learner.required, LONGEST_VERSION),
    )
