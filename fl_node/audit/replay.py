"""Replays the chain's log through the Python model of the contract (audit steps A2 and A3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chain.errors import CallRejected
from chain.history import first_head, fold
from chain.memory_ledger import MemoryLedger
from chain.types import (
    Address,
    AggregateAttested,
    Entry,
    Event,
    MemberRejoined,
    Receipt,
    RoundSkipped,
    TaskOpened,
    UpdateCommitted,
    UpdateRevealed,
)


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first difference between the log and the rules: the recorded entry, and the event that the rules give.

    `recorded` is None if the log ends too early; `expected` is "an end of the log" if it continues too long.
    """

    recorded: Entry | None
    expected: str


def head_of(chain_id: int, contract: Address, task: int, entries: Sequence[Entry]) -> bytes:
    """The history head that folding these entries gives."""
    head = first_head(chain_id, contract, task)
    for entry in entries:
        head = fold(head, entry.event)
    return head


def replay(
    chain_id: int, contract: Address, task: int, entries: Sequence[Entry]
) -> Divergence | None:
    """Repeat every call that the log shows, at the recorded times, and compare.

    The model draws the cohorts anew: a recorded seed that does not follow from the round's parent is a difference.

    The next event tells which call was made: `UpdateCommitted` comes from `commit`, and so on. An event that no
    member's call emits comes from `advance`.

    Args:
        chain_id, contract, task: Identify the log.
        entries: Oldest first.

    Returns:
        The first difference between the log and the rules; None if they agree throughout.
    """
    at = 0

    def now() -> int:
        return entries[at].timestamp

    model = MemoryLedger(chain_id=chain_id, contract=contract, clock=now, first_task=task)
    while at < len(entries):
        try:
            receipt = _repeat(model, task, entries[at].event)
        except CallRejected as rejection:
            return Divergence(
                entries[at], f"no such call: the contract refuses it with {rejection}"
            )
        for expected in receipt.entries:
            recorded = entries[at] if at < len(entries) else None
            if recorded is None or recorded.event != expected.event:
                return Divergence(recorded, str(expected.event))
            at += 1
    return None


def _repeat(model: MemoryLedger, task: int, event: Event) -> Receipt:
    match event:
        case TaskOpened(_, coordinator, manifest_digest, genesis_digest, members, terms):
            ledger = model.acting_as(coordinator)
            return ledger.open_task(manifest_digest, genesis_digest, members, terms)
        case UpdateCommitted(_, round, client, commitment):
            return model.acting_as(client).commit(task, round, commitment)
        case RoundSkipped(_, round, member):
            return model.acting_as(member).skip(task, round)
        case UpdateRevealed(_, round, client, opening):
            return model.acting_as(client).reveal(task, round, opening)
        case AggregateAttested(_, round, client, digest, included):
            return model.acting_as(client).attest(task, round, digest, included)
        case MemberRejoined(_, member):
            return model.acting_as(member).rejoin(task)
        case _:
            return model.advance(task)
