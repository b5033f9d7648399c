"""The file of a receipt: canonical JSON (docs/protocol.md, "Receipt")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chain import answers
from chain.errors import HistoryInvalid
from chain.text import shown
from chain.types import Address, Entry
from fl_node.blobs.canonical import canonical_json, parse_json
from fl_node.bundle.events import MAX_EVENTS_BYTES, events_from_list, events_to_list
from fl_node.errors import ReceiptInvalid
from fl_node.receipt.claim import Claim, Outcome

FORMAT = "ganchor-receipt-1"
"""The format's name and version: other bytes are another version."""

MAX_RECEIPT_BYTES = MAX_EVENTS_BYTES + (1 << 12)
"""The longest receipt that is written or read: the longest log, and what stands around it."""

KEYS = {"chain_id", "claim", "contract", "events", "format", "head", "task"}
CLAIM_KEYS = {"attempt", "member", "outcome", "round", "update"}


@dataclass(frozen=True, slots=True)
class UpdateReceipt:
    """What a receipt's file holds. One that somebody else wrote is in the form that is specified, and not checked.

    Attributes:
        chain_id: The chain (EIP-155).
        contract: The contract's address.
        task: The task's number.
        head: The history head that the log is said to lead to, 32 bytes.
        claim: What it says.
        entries: The task's log up to the head, oldest first.
    """

    chain_id: int
    contract: Address
    task: int
    head: bytes
    claim: Claim
    entries: list[Entry]

    def __str__(self) -> str:
        return f"{self.claim} of head {self.head.hex()}"


def receipt_to_json(receipt: UpdateReceipt) -> bytes:
    """Encode a receipt as its file."""
    claim = receipt.claim
    return canonical_json(
        {
            "chain_id": receipt.chain_id,
            "claim": {
                "attempt": claim.attempt,
                "member": claim.member,
                "outcome": claim.outcome.value,
                "round": claim.round,
                "update": None if claim.update is None else "0x" + claim.update.hex(),
            },
            "contract": receipt.contract,
            "events": events_to_list(receipt.entries, receipt.contract),
            "format": FORMAT,
            "head": "0x" + receipt.head.hex(),
            "task": receipt.task,
        }
    )


def read_receipt(content: bytes) -> UpdateReceipt:
    """Decode a receipt that somebody else wrote. Whether it is true is for `findings_in` to say.

    Args:
        content: Anything.

    Raises:
        ReceiptInvalid: It is not the one spelling of a receipt; the message names the field.
    """
    if len(content) > MAX_RECEIPT_BYTES:
        raise ReceiptInvalid(f"no receipt: {len(content)} bytes, at most {MAX_RECEIPT_BYTES}")
    try:
        receipt = _from_json(parse_json(content.decode()))
    except (ValueError, HistoryInvalid) as error:
        raise ReceiptInvalid(f"no receipt: {shown(error)}") from None
    if receipt_to_json(receipt) != content:
        raise ReceiptInvalid("no receipt: not spelt as the specification says")
    return receipt


def _from_json(value: Any) -> UpdateReceipt:
    whole = _object("receipt", value, KEYS)
    if whole["format"] != FORMAT:
        raise ValueError(f"expected the format {FORMAT!r}")
    contract = answers.address(whole["contract"])
    task = answers.quantity(whole["task"], 1 << 256)
    return UpdateReceipt(
        chain_id=answers.chain_id(whole["chain_id"]),
        contract=contract,
        task=task,
        head=answers.word(whole["head"]),
        claim=_claim(_object("claim", whole["claim"], CLAIM_KEYS)),
        entries=events_from_list(whole["events"], contract, task),
    )


def _claim(said: dict[str, Any]) -> Claim:
    update, attempt = said["update"], said["attempt"]
    return Claim(
        round=answers.quantity(said["round"], 1 << 16),
        member=answers.address(said["member"]),
        update=None if update is None else answers.word(update),
        attempt=None if attempt is None else answers.quantity(attempt, 1 << 16),
        outcome=Outcome(said["outcome"]),
    )


def _object(what: str, value: Any, names: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or value.keys() != names:
        raise ValueError(f"{what}: expected an object with {', '.join(sorted(names))}")
    return value
