"""Writes a task's history, from its ledger and its store, into a bundle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from chain.artifact import load_artifact
from chain.errors import HistoryInvalid, LedgerUnusable, ProofInvalid
from chain.history import log_to
from chain.ledger import LedgerReader
from chain.proofs import HeadProof
from chain.types import Entry
from fl_node.blobs.reader import Reader
from fl_node.bundle.archive import ArchiveWriter, written_archive
from fl_node.bundle.events import MAX_EVENTS_BYTES, events_to_json
from fl_node.bundle.naming import blobs_of
from fl_node.bundle.proof import proof_to_json
from fl_node.bundle.state import RecordedState, state_to_json
from fl_node.bundle.summary import names_to_json, summary_to_json
from fl_node.errors import BadData, Misuse
from fl_node.explorer.files import page_file, page_names
from fl_node.witness.note import MAX_NOTES_BYTES, Note, notes_to_bytes, origin_of

READS = 10
"""How many times state and log of a running task are read until the one leads to the other."""

Prove = Callable[[int, bytes, int], HeadProof]
"""Gives the proof that a block holds a head, from (task, head, block of its last event), as `Web3Ledger.head_proof`."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a bundle has become.

    Attributes:
        state: Whose history it is, up to which head.
        events: The number of events.
        blobs: The number of blobs that it holds, or, if they lie elsewhere, names.
        missing: By the digests of blobs that it lacks, what the store said.
        proof: The proof that a block holds the head; None if it has none.
        unproven: Why it has none, if there was somebody to ask for one.
    """

    state: RecordedState
    events: int
    blobs: int
    missing: dict[bytes, str]
    proof: HeadProof | None = None
    unproven: str | None = None


def write_bundle(
    path: Path,
    ledger: LedgerReader,
    store: Reader,
    task: int,
    with_blobs: bool = True,
    notes: Sequence[Note] = (),
    prove: Prove | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Written:
    """Write a task's history into a file, and the page that shows it: equal histories and blobs give equal bytes.

    Args:
        path: The file, in an existing folder; an existing one is replaced. Nothing is written if this fails.
        ledger: Whose contract has the committed code, as a `Web3Ledger` verifies.
        store: Holds the task's blobs. One that it lacks, or has other bytes of, is missing in the bundle too.
        task: The task's number.
        with_blobs: Whether the bundle holds the blobs; else it names them.
        notes: What witnesses have signed of this history, or are said to have.
        prove: Is asked for the proof that a block holds the head; without one, or where it fails, the bundle has none.
        progress: Called after each blob with (blobs read, blobs in all).

    Raises:
        TaskUnknown: No task has this number.
        HistoryInvalid: The log does not lead to the history head of the task's state.
        Misuse: The log or the notes are too long for a bundle, or a note is of another history.
        FileUnusable: The file cannot be written.
        ChainUnreachable, ChainRefused, StoreUnusable: The chain or the store cannot be read.
    """
    state, entries = settled_history(ledger, task)
    events = events_to_json(entries, ledger.contract)
    if len(events) > MAX_EVENTS_BYTES:
        raise Misuse(
            f"the log of task {task} has {len(events)} bytes as JSON, a bundle holds {MAX_EVENTS_BYTES}"
        )
    cosignatures = _verified_notes(notes, origin_of(ledger.chain_id, ledger.contract, task))
    proof, unproven = _proof(prove, state, entries)
    named = blobs_of(store, state.view, entries)
    with written_archive(path) as archive:  # In ascending order of the names.
        if not with_blobs:
            archive.add("blobs.json", names_to_json(named))
        missing = _add_blobs(archive, store, named, progress) if with_blobs else {}
        archive.add("bundle.json", summary_to_json(state))
        archive.add("code.hex", load_artifact().deployed_bytecode.encode())
        if cosignatures:
            archive.add("cosignatures.txt", cosignatures)
        archive.add("events.json", events)
        for name in page_names():
            archive.add(f"page/{name}", page_file(name))
        if proof:
            archive.add("proof.json", proof_to_json(proof))
        archive.add("state.json", state_to_json(state))
    return Written(state, len(entries), len(named) - len(missing), missing, proof, unproven)


def _proof(
    prove: Prove | None, state: RecordedState, entries: Sequence[Entry]
) -> tuple[HeadProof | None, str | None]:
    """The proof that a block holds the head, or why there is none: a bundle is worth having without it."""
    if prove is None:
        return None, None
    try:
        return prove(state.task, state.view.history_head, entries[-1].block_number), None
    except (LedgerUnusable, ProofInvalid) as error:
        return None, str(error)


def _verified_notes(notes: Sequence[Note], origin: str) -> bytes:
    """The notes as a file. Whether their heads are this log's, and who signed them, is for the audit to say."""
    for note in notes:
        if note.checkpoint.origin != origin:
            raise Misuse(
                f"expected cosigned notes of {origin}, got one of {note.checkpoint.origin}"
            )
    content = notes_to_bytes(notes)
    if len(content) > MAX_NOTES_BYTES:
        raise Misuse(f"the notes have {len(content)} bytes, a bundle holds {MAX_NOTES_BYTES}")
    return content


def settled_history(ledger: LedgerReader, task: int) -> tuple[RecordedState, list[Entry]]:
    """A state of the task, and the log that leads to it, oldest first.

    Raises:
        TaskUnknown: No task has this number.
        HistoryInvalid: The log does not lead to the history head of the task's state.
        ChainUnreachable, ChainRefused: The chain cannot be read.
    """
    for _ in range(READS):
        view = ledger.task_state(task)
        history = ledger.history(task)
        entries = log_to(view.history_head, ledger.chain_id, ledger.contract, task, history)
        if entries is not None:
            return RecordedState(ledger.chain_id, ledger.contract, task, view), entries
    raise HistoryInvalid(f"the log of task {task} does not lead to its history head")


def _add_blobs(
    archive: ArchiveWriter,
    store: Reader,
    named: dict[bytes, int],
    progress: Callable[[int, int], None],
) -> dict[bytes, str]:
    """Add what the store has of these blobs; what it says of the others, by digest."""
    missing: dict[bytes, str] = {}
    for done, digest in enumerate(sorted(named), start=1):
        try:
            archive.add(f"blobs/{digest.hex()}", store.get(digest, named[digest]))
        except BadData as error:
            missing[digest] = str(error)
        progress(done, len(named))
    return missing
