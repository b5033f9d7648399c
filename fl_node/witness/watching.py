"""Watches a task: signs each head that extends the one it signed before, and refuses every other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from chain.errors import FileUnusable, HistoryInvalid
from chain.files import write_whole
from chain.ledger import LedgerReader
from fl_node.errors import ExtensionRefused, Misuse, NoteInvalid
from fl_node.history.kept import KeptLog, TaskLog
from fl_node.witness.cosigning import cosign, is_by, is_genuine
from fl_node.witness.keys import WitnessKey
from fl_node.witness.note import Checkpoint, Note, read_notes_file


class Witness:
    """Looks at one task, and keeps what it signed last in a file, which is all that it remembers.

    Args:
        ledger: Gives the task's log.
        task: The task's number.
        key: Signs.
        out: The file with the last note. A missing one is written at the first look: there is nothing to extend yet.
        log: A file for a copy of the log, which is begun if it does not exist.
        now: The time, in seconds since 1970 (UTC).

    Raises:
        Misuse: `out` cannot be read, is of another history, or was not signed with this key.
    """

    def __init__(
        self,
        ledger: LedgerReader,
        task: int,
        key: WitnessKey,
        out: Path,
        log: Path,
        now: Callable[[], float],
    ) -> None:
        self._ledger = ledger
        self._task = task
        self._key = key
        self._out = out
        self._kept = KeptLog(ledger, task, log)
        self._now = now
        self._signed = self._last() if out.exists() else None

    def look(self, head: bytes) -> Note | None:
        """Verify the history up to a head, and sign it.

        Args:
            head: The history head that the task's state shows, 32 bytes.

        Returns:
            The note, which is in the file now; None if this head is signed already.

        Raises:
            ExtensionRefused: It does not extend what was signed before, or no log leads to it.
            FileUnusable: The file cannot be written.
            ChainUnreachable, ChainRefused: The log cannot be read.
            StateUnusable: The copy of the log cannot be read or written.
        """
        if self._signed is not None and self._signed.head == head:
            return None
        checkpoint = self._verified(head)
        note = Note(checkpoint, (cosign(checkpoint, self._key, int(self._now())),))
        write_whole(self._out, str(note).encode())
        self._signed = checkpoint
        return note

    def _verified(self, head: bytes) -> Checkpoint:
        try:
            with self._kept.read_to(head) as log:
                if self._signed is not None:
                    _verify_extension(self._signed, log)
                return self._at(log.length, head)
        except HistoryInvalid as error:
            raise ExtensionRefused(str(error)) from None

    def _at(self, events: int, head: bytes) -> Checkpoint:
        return Checkpoint(self._ledger.chain_id, self._ledger.contract, self._task, events, head)

    def _last(self) -> Checkpoint:
        """What this witness signed last, as its file says under its own signature."""
        try:
            notes = read_notes_file(self._out)
        except (FileUnusable, NoteInvalid) as error:
            raise Misuse(f"{error}; this file must hold what the witness signed last") from None
        checkpoint = notes[-1].checkpoint
        expected = self._at(checkpoint.events, checkpoint.head)
        if checkpoint != expected:
            raise Misuse(
                f"{self._out}: expected a note of {expected.origin}, got one of {checkpoint.origin}"
            )
        verifier = self._key.verifier
        signed = any(
            is_by(one, verifier) and is_genuine(checkpoint, one, verifier)
            for one in notes[-1].cosignatures
        )
        if len(notes) != 1 or not signed:
            raise Misuse(f"{self._out}: expected one note, signed with the key of {verifier}")
        return checkpoint


def _verify_extension(signed: Checkpoint, log: TaskLog) -> None:
    """Check that a log leads through what was signed before.

    Raises:
        ExtensionRefused: It is shorter, or had another head there.
    """
    before = log.head_after(signed.events)
    if before is None:
        raise ExtensionRefused(
            f"{log.length} events are shown, and {signed.events} were signed before"
        )
    if before != signed.head:
        raise ExtensionRefused(
            f"another history: after {signed.events} events the head is {before.hex()}, "
            f"and {signed.head.hex()} was signed before"
        )
