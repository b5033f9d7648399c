"""What a relay says of an act. Nobody has to believe it: members look on the chain."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

from chain import answers
from chain.text import shown


class Status(StrEnum):
    """How far an act is."""

    WAITING = "waiting"
    POSTED = "posted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A relay's word on an act: its status, the transaction that carries it, or why it is refused."""

    status: Status
    transaction: bytes | None = None
    reason: str = ""


WAITING = Outcome(Status.WAITING)


def refused(reason: str) -> Outcome:
    """The outcome of an act that is not carried."""
    return Outcome(Status.REFUSED, reason=reason)


def outcome_to_json(act: bytes, outcome: Outcome) -> bytes:
    """The answer to whoever asks about an act, which its id names."""
    fields = {"act": "0x" + act.hex(), "status": outcome.status.value}
    if outcome.transaction is not None:
        fields["transaction"] = "0x" + outcome.transaction.hex()
    if outcome.reason:
        fields["reason"] = outcome.reason
    return json.dumps(fields).encode()


def read_outcome(body: bytes) -> Outcome:
    """Parse a relay's answer; its text is made fit to be shown.

    Raises:
        ValueError: It is none.
    """
    fields = answers.parse_json(body)
    if not isinstance(fields, dict):
        raise ValueError("expected an object")
    transaction = fields.get("transaction")
    return Outcome(
        Status(str(fields.get("status"))),
        None if transaction is None else answers.word(transaction),
        shown(fields.get("reason", "")),
    )
