"""What witnesses say about the history: part of step A2 (docs/protocol.md, "Cosigned heads")."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from fl_node.audit.findings import Findings
from fl_node.audit.report import Cosigned
from fl_node.witness.cosigning import is_by, is_genuine
from fl_node.witness.keys import VerifierKey
from fl_node.witness.note import Checkpoint, Cosignature, Note


@dataclass(frozen=True, slots=True)
class Witnesses:
    """Whom the auditor trusts, and what they are said to have signed.

    Attributes:
        keys: Of the witnesses that are trusted.
        notes: Of anybody; nothing in them is believed.
    """

    keys: tuple[VerifierKey, ...] = ()
    notes: tuple[Note, ...] = ()


NOBODY = Witnesses()
"""No witnesses."""


class Heads(Protocol):
    """Every head that a log has had."""

    @property
    def length(self) -> int:
        """The number of entries."""

    def head_after(self, entries: int) -> bytes | None:
        """The history head after so many entries, from 0; None if there are not so many."""


def a2_cosigned(
    findings: Findings, witnesses: Witnesses, origin: str, log: Heads
) -> tuple[Cosigned, ...]:
    """Check each cosignature whose key is given: it is genuine, and its head is a point of this log.

    Args:
        origin: Whose history this is, as the first line of a note.
        log: All of it.

    Returns:
        What holds, and what could not be checked because nobody gave its key.
    """
    found = [
        cosigned
        for checkpoint, cosignature in _all(witnesses.notes)
        if (cosigned := _checked(findings, witnesses.keys, origin, log, checkpoint, cosignature))
    ]
    if witnesses.keys and not any(cosigned.checked for cosigned in found):
        findings.add(
            "A2",
            "none of the given witnesses has cosigned this history",
            expected=" or ".join(key.name for key in witnesses.keys),
            actual=", ".join(cosigned.witness for cosigned in found) or "nobody",
        )
    return tuple(found)


def _all(notes: tuple[Note, ...]) -> Iterator[tuple[Checkpoint, Cosignature]]:
    for note in notes:
        for cosignature in note.cosignatures:
            yield note.checkpoint, cosignature


def _checked(
    findings: Findings,
    keys: tuple[VerifierKey, ...],
    origin: str,
    log: Heads,
    checkpoint: Checkpoint,
    cosignature: Cosignature,
) -> Cosigned | None:
    key = next((key for key in keys if is_by(cosignature, key)), None)
    name = cosignature.name
    cosigned = Cosigned(
        name, cosignature.time, checkpoint.events, checkpoint.head.hex(), key is not None
    )
    if key is None:
        return cosigned
    if not is_genuine(checkpoint, cosignature, key):
        findings.add("A2", f"a cosignature in the name of {name} is not made with its key")
        return None
    if checkpoint.origin != origin:
        findings.add(
            "A2",
            f"{name} has cosigned the history of something else",
            expected=origin,
            actual=checkpoint.origin,
        )
        return None
    there = log.head_after(checkpoint.events)
    if there != checkpoint.head:
        findings.add(
            "A2",
            f"{name} has cosigned another history",
            expected=f"{checkpoint.head.hex()} after {checkpoint.events} events",
            actual=f"a log of {log.length} events" if there is None else there.hex(),
        )
        return None
    return cosigned
