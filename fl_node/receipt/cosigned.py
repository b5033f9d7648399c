"""What witnesses say about the log of a receipt: as in step A2 of an audit, up to the round that it is about."""

from __future__ import annotations

from dataclasses import dataclass

from chain.history import first_head, fold
from fl_node.audit.cosignatures import Witnesses, a2_cosigned
from fl_node.audit.findings import Findings
from fl_node.audit.report import Cosigned
from fl_node.receipt.claim import objection_to
from fl_node.receipt.file import UpdateReceipt
from fl_node.witness.note import origin_of


def check_cosigned(
    receipt: UpdateReceipt, witnesses: Witnesses
) -> tuple[tuple[Cosigned, ...], list[str]]:
    """Check what witnesses are said to have signed against the log of a receipt.

    A witness that signed before the round was final has not seen what the receipt says.

    Args:
        receipt: Anything that somebody else wrote.
        witnesses: Who is trusted, and the notes.

    Returns:
        Who signed which point of the log, checked or with its key not given; and what is wrong.
    """
    found = Findings()
    origin = origin_of(receipt.chain_id, receipt.contract, receipt.task)
    cosigned = a2_cosigned(found, witnesses, origin, _heads_of(receipt))
    findings = [_sentence(one.message, one.expected, one.actual) for one in found.found]
    checked = [one for one in cosigned if one.checked]
    if checked and not any(_covers(receipt, one.events) for one in checked):
        last = max(one.events for one in checked)
        findings.append(
            f"none of the given witnesses has cosigned round {receipt.claim.round}: "
            f"it was not final after event {last}, the last that they signed"
        )
    return cosigned, findings


@dataclass(frozen=True, slots=True)
class _Heads:
    heads: list[bytes]

    @property
    def length(self) -> int:
        return len(self.heads) - 1

    def head_after(self, entries: int) -> bytes | None:
        return self.heads[entries] if 0 <= entries <= self.length else None


def _heads_of(receipt: UpdateReceipt) -> _Heads:
    heads = [first_head(receipt.chain_id, receipt.contract, receipt.task)]
    for entry in receipt.entries:
        heads.append(fold(heads[-1], entry.event))
    return _Heads(heads)


def _covers(receipt: UpdateReceipt, events: int) -> bool:
    """Whether the round was final after so many events; what follows changes nothing about it."""
    said = receipt.claim
    return objection_to(receipt.entries[:events], said.round, said.member) is None


def _sentence(message: str, expected: str | None, actual: str | None) -> str:
    return message if expected is None else f"{message}: expected {expected}, got {actual}"
