"""Makes a receipt from a history, and checks one that somebody else wrote, with nothing but its own bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chain.errors import HistoryInvalid
from chain.history import head_of
from chain.types import Address, Entry
from fl_node.audit.replay import replay
from fl_node.bundle.state import RecordedState
from fl_node.errors import Misuse
from fl_node.receipt.claim import claim_from, objection_to
from fl_node.receipt.file import UpdateReceipt


def make_receipt(
    state: RecordedState,
    entries: Sequence[Entry],
    round: int,
    member: Address,
    update: bytes | None = None,
) -> UpdateReceipt:
    """Make the receipt of what became of a member's update in a round.

    Args:
        state: Whose history it is, and its head.
        entries: The log that leads to it, oldest first.
        round: The round's number, from 1.
        member: Whose update.
        update: Its digest, 32 bytes; None for the last one that the member revealed in the round.

    Raises:
        Misuse: The round is not final, or somebody else is meant than a member.
        HistoryInvalid: The log does not lead to the head, or breaks the protocol: no receipt of it would be true.
    """
    objection = objection_to(entries, round, member)
    if objection:
        raise Misuse(f"no receipt can be given: {objection}")
    claim = claim_from(entries, round, member, update)
    receipt = UpdateReceipt(
        state.chain_id, state.contract, state.task, state.view.history_head, claim, list(entries)
    )
    for finding in findings_in(receipt):
        raise HistoryInvalid(f"no receipt can be given: {finding}")
    return receipt


def findings_in(receipt: UpdateReceipt, expected_head: bytes | None = None) -> list[str]:
    """What is wrong with a receipt; nothing if its claim follows from its head.

    Args:
        receipt: Anything that somebody else wrote.
        expected_head: The history head that the reader has from elsewhere, 32 bytes; None if from nowhere.
    """
    return [*_about_the_head(receipt, expected_head), *_about_the_claim(receipt)]


def _about_the_head(receipt: UpdateReceipt, expected: bytes | None) -> Iterator[str]:
    head = head_of(receipt.chain_id, receipt.contract, receipt.task, receipt.entries)
    if head != receipt.head:
        yield f"the log leads to the head {head.hex()}, not to {receipt.head.hex()}"
    if expected not in (None, receipt.head):
        yield f"expected the head {expected.hex()}, got {receipt.head.hex()}"


def _about_the_claim(receipt: UpdateReceipt) -> Iterator[str]:
    site = receipt.chain_id, receipt.contract, receipt.task
    divergence = replay(*site, receipt.entries)
    if divergence:
        recorded = divergence.recorded
        event = recorded.event if recorded else "the end of the log"
        yield f"the log breaks the protocol: expected {divergence.expected}, got {event}"
    said = receipt.claim
    objection = objection_to(receipt.entries, said.round, said.member)
    if objection:
        yield objection
        return
    found = claim_from(receipt.entries, said.round, said.member, said.update)
    if found != said:
        yield f"the log says: {found}, {found.reason}"
