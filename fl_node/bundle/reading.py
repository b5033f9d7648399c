"""Reads a bundle as what an audit needs: the reading side of a ledger, and a reader of blobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from chain.artifact import load_artifact
from chain.errors import ContractMismatch, TaskUnknown
from chain.proofs import HeadProof
from chain.types import Address, Entry, TaskState
from fl_node.blobs.digest import digest_of
from fl_node.blobs.reader import verify_size
from fl_node.bundle.archive import read_archive
from fl_node.bundle.events import MAX_EVENTS_BYTES, read_events
from fl_node.bundle.proof import MAX_PROOF_BYTES, read_proof
from fl_node.bundle.state import MAX_STATE_BYTES, RecordedState, read_state
from fl_node.bundle.summary import read_names, verify_summary
from fl_node.errors import BlobMissing, BlobTampered, BundleInvalid, NoteInvalid
from fl_node.witness.note import MAX_NOTES_BYTES, Note, read_notes

MAX_CODE_HEX_BYTES = 1 << 17
"""The longest code.hex that is read; a contract has at most 24,576 bytes (EIP-170)."""

MAX_NAMES_BYTES = 1 << 25
"""The longest blobs.json that is read."""


class BundledLedger:
    """The reading side of a ledger, from a bundle."""

    def __init__(self, state: RecordedState, entries: Sequence[Entry]) -> None:
        self._state = state
        self._entries = entries

    @property
    def chain_id(self) -> int:
        """The chain's id (EIP-155)."""
        return self._state.chain_id

    @property
    def contract(self) -> Address:
        """The contract's address."""
        return self._state.contract

    def task_state(self, task: int) -> TaskState:
        """The task's state.

        Raises:
            TaskUnknown: The bundle is of another task.
        """
        if task != self._state.task:
            raise TaskUnknown(task)
        return self._state.view

    def history(self, task: int, from_block: int = 0) -> list[Entry]:
        """The task's entries from a block on, oldest first; without their transactions, whose gas a bundle lacks."""
        self.task_state(task)
        return [
            replace(entry, transaction=None)
            for entry in self._entries
            if entry.block_number >= from_block
        ]

    def gas_used(self, transaction: bytes) -> int:
        """Return 0: this ledger has no transactions."""
        return 0


class BundledBlobs:
    """The blobs of a bundle, each checked against its digest when it is read."""

    def __init__(self, name: str, files: dict[str, memoryview]) -> None:
        self._name = name
        self._files = files

    def __str__(self) -> str:
        return self._name

    def get(self, digest: bytes, max_bytes: int) -> memoryview:
        """Read a blob, as `Store.get` does."""
        name = digest.hex()
        blob = self._files.get(f"blobs/{name}")
        if blob is None:
            raise BlobMissing(f"blob {name} is not in {self}")
        verify_size(name, len(blob), max_bytes)
        actual = digest_of(blob)
        if actual != digest:
            raise BlobTampered(f"blob {name} in {self} hashes to {actual.hex()}")
        return blob


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that somebody else wrote: in the form that is specified, and otherwise not checked.

    Attributes:
        state: Whose history it claims to be.
        entries: Its log, oldest first.
        code: The code that it claims to have lain at the contract's address, 0x and hex digits.
        blobs: Its blobs; None if they lie elsewhere.
        notes: What witnesses are said to have signed.
        record: The files that say all of this, by name; neither blobs nor the page.
        proof: What is said to prove that a block holds the history head; None if it has none.
    """

    state: RecordedState
    entries: list[Entry]
    code: str
    blobs: BundledBlobs | None
    notes: tuple[Note, ...] = ()
    record: Mapping[str, memoryview] = field(default_factory=dict)
    proof: HeadProof | None = None

    def ledger(self) -> BundledLedger:
        """The ledger that the bundle shows.

        Raises:
            ContractMismatch: The code is not the committed contract's.
        """
        if self.code != load_artifact().deployed_bytecode:
            raise ContractMismatch("the bundle has other code than the committed contract's")
        return BundledLedger(self.state, self.entries)


def read_bundle(path: Path) -> Bundle:
    """Open a bundle. The file is mapped into memory and must not change meanwhile.

    Args:
        path: Anything that somebody else wrote.

    Raises:
        FileUnusable: It is not a regular file, or cannot be read.
        BundleInvalid: It is not the bundle of a history.
    """
    files = read_archive(path)
    elsewhere = "blobs.json" in files
    if elsewhere and any(name.startswith("blobs/") for name in files):
        raise BundleInvalid(f"{path}: names its blobs, and holds some")
    if elsewhere:
        read_names(_content(path, files, "blobs.json", MAX_NAMES_BYTES))
    state = read_state(_content(path, files, "state.json", MAX_STATE_BYTES))
    verify_summary(_content(path, files, "bundle.json", MAX_STATE_BYTES), state)
    events = _content(path, files, "events.json", MAX_EVENTS_BYTES)
    return Bundle(
        state=state,
        entries=read_events(events, state.contract, state.task),
        code=_content(path, files, "code.hex", MAX_CODE_HEX_BYTES).decode("ascii", "replace"),
        blobs=None if elsewhere else BundledBlobs(str(path), files),
        notes=_notes(path, files),
        record={name: content for name, content in files.items() if "/" not in name},
        proof=_proof(path, files),
    )


def _notes(path: Path, files: dict[str, memoryview]) -> tuple[Note, ...]:
    if "cosignatures.txt" not in files:
        return ()
    try:
        return read_notes(_content(path, files, "cosignatures.txt", MAX_NOTES_BYTES))
    except NoteInvalid as error:
        raise BundleInvalid(f"{path}: cosignatures.txt: {error}") from None


def _proof(path: Path, files: dict[str, memoryview]) -> HeadProof | None:
    if "proof.json" not in files:
        return None
    return read_proof(_content(path, files, "proof.json", MAX_PROOF_BYTES))


def _content(path: Path, files: dict[str, memoryview], name: str, most: int) -> bytes:
    content = files.get(name)
    if content is None:
        raise BundleInvalid(f"{path}: holds no {name}")
    if len(content) > most:
        raise BundleInvalid(f"{path}: {name} has {len(content)} bytes, at most {most} are allowed")
    return bytes(content)
