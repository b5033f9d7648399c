"""The contract's arithmetic as pure functions: commitments, cohorts, the history head.

contracts/ITrainingLedger.sol specifies it; the contract computes the same on chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, fields
from typing import Any, get_args

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from chain.types import (
    AbsencesForgiven,
    Address,
    AggregateAttested,
    AttestOpened,
    Entry,
    Event,
    MemberRejoined,
    MembersMissed,
    Phase,
    Reveal,
    RevealOpened,
    RoundAborted,
    RoundFinalised,
    RoundOpened,
    RoundSkipped,
    TaskFinished,
    TaskOpened,
    Terms,
    UpdateCommitted,
    UpdateRevealed,
    indices,
)

TERMS = "(uint16,uint24,uint24,uint24,uint16,uint8,uint8,uint16)"
REVEAL = "(bytes32,uint64,int64,int64,bytes32)"

ARGUMENTS: dict[type[Event], tuple[str, ...]] = {
    TaskOpened: ("uint256", "address", "bytes32", "bytes32", "address[]", TERMS),
    RoundOpened: ("uint256", "uint16", "uint16", "bytes32", "bytes32", "uint96", "uint32"),
    UpdateCommitted: ("uint256", "uint16", "address", "bytes32"),
    RoundSkipped: ("uint256", "uint16", "address"),
    RevealOpened: ("uint256", "uint16", "uint96", "uint32"),
    UpdateRevealed: ("uint256", "uint16", "address", REVEAL),
    AttestOpened: ("uint256", "uint16", "uint96", "uint96", "uint32"),
    AggregateAttested: ("uint256", "uint16", "address", "bytes32", "uint96"),
    MembersMissed: ("uint256", "uint16", "uint96"),
    MemberRejoined: ("uint256", "address"),
    AbsencesForgiven: ("uint256", "uint96"),
    RoundFinalised: ("uint256", "uint16", "bytes32", "uint96"),
    RoundAborted: ("uint256", "uint16", "uint16", "uint8"),
    TaskFinished: ("uint256", "bytes32"),
}
"""The ABI types of each event's arguments, in order of declaration."""

EVENTS: dict[str, type[Event]] = {event_type.__name__: event_type for event_type in get_args(Event)}
"""The events by their names in the ABI."""


def topic0(event_type: type[Event]) -> bytes:
    """Return the keccak256 of the event's signature: 32 bytes."""
    return keccak(text=f"{event_type.__name__}({','.join(ARGUMENTS[event_type])})")


INDEXED = frozenset({"task", "round", "coordinator", "client", "member"})
"""The arguments that are topics of a log; they come first in every event."""

SELECTORS: dict[type[Event], bytes] = {event_type: topic0(event_type) for event_type in ARGUMENTS}
"""The first topic of each event's logs."""

TOPICS: dict[bytes, type[Event]] = {topic: event_type for event_type, topic in SELECTORS.items()}
"""The events by the first topic of their logs."""


def event_from_abi(event_type: type[Event], arguments: Sequence[Any]) -> Event:
    """Build an event from decoded ABI values.

    Args:
        event_type: One of `EVENTS`.
        arguments: Every argument in order of declaration; addresses checksummed, structs as
            sequences.
    """
    named = zip(fields(event_type), arguments, strict=True)
    return event_type(**{field.name: _from_abi(field.name, value) for field, value in named})


def _from_abi(name: str, value: Any) -> Any:
    match name:
        case "members":
            return tuple(value)
        case "terms":
            return Terms(*value)
        case "reveal":
            return Reveal(*value)
        case "phase":
            return Phase(value)
        case _:
            return value


def first_head(chain_id: int, contract: Address, task: int) -> bytes:
    """Return the history head of a task before its first event: 32 bytes."""
    return keccak(encode(("uint256", "address", "uint256"), (chain_id, contract, task)))


def fold(head: bytes, event: Event) -> bytes:
    """Return the history head after an event of the task: 32 bytes.

    Args:
        head: The head before the event, 32 bytes.
        event: The event. Its task is not folded in, because the first head already commits to it.
    """
    return head_after(head, folded(event))


def head_of(chain_id: int, contract: Address, task: int, entries: Iterable[Entry]) -> bytes:
    """Return the history head of a task after all entries of a log, oldest first: 32 bytes."""
    head = first_head(chain_id, contract, task)
    for entry in entries:
        head = fold(head, entry.event)
    return head


def log_to(
    head: bytes, chain_id: int, contract: Address, task: int, entries: Iterable[Entry]
) -> list[Entry] | None:
    """Return the part of a task's log that leads to a head, oldest first; None if no part does. No more is read."""
    reached, log = first_head(chain_id, contract, task), []
    for entry in entries:
        log.append(entry)
        reached = fold(reached, entry.event)
        if reached == head:
            return log
    return None


def head_after(head: bytes, data: bytes) -> bytes:
    """Return the history head after an event, given as the bytes that `folded` gives: 32 bytes."""
    return keccak(head + data)


def folded(event: Event) -> bytes:
    """Return what is hashed behind the head before an event: its selector and its arguments, without the task."""
    types = ("bytes32", "bytes32", *ARGUMENTS[type(event)][1:])
    return encode(types, (bytes(32), SELECTORS[type(event)], *astuple(event)[1:]))[32:]


def logged(event: Event) -> tuple[tuple[bytes, ...], bytes]:
    """Return an event as the contract logs it: its topics, 32 bytes each, and the data with its other arguments."""
    types, values = ARGUMENTS[type(event)], astuple(event)
    count = sum(field.name in INDEXED for field in fields(event))
    indexed = (
        encode((kind,), (value,)) for kind, value in zip(types[:count], values, strict=False)
    )
    return (SELECTORS[type(event)], *indexed), encode(types[count:], values[count:])


def commitment_of(
    chain_id: int, contract: Address, task: int, round: int, client: Address, opening: Reveal
) -> bytes:
    """Return the commitment to `opening` as the contract's `commitmentOf` does: 32 bytes."""
    types = ("uint256", "address", "uint256", "uint16", "address", REVEAL)
    return keccak(encode(types, (chain_id, contract, task, round, client, astuple(opening))))


def cohort_seed(parent_digest: bytes, task: int, round: int, attempt: int) -> bytes:
    """Return the seed that an attempt's cohort is drawn by: 32 bytes.

    Args:
        parent_digest: Of the model that the round starts from, 32 bytes.
        task, round, attempt: Which attempt; attempts count from 0 in each round.
    """
    types = ("bytes32", "uint256", "uint16", "uint16")
    return keccak(encode(types, (parent_digest, task, round, attempt)))


def draw(seed: bytes, candidates: int, size: int) -> int:
    """Draw a cohort as the contract's `draw` does: `size` steps of a Fisher-Yates shuffle.

    Args:
        seed: 32 bytes.
        candidates: Bitmap of the members to draw from.
        size: How many to draw; if there are no more candidates than this, all are drawn.

    Returns:
        Bitmap of the members drawn.
    """
    order = list(indices(candidates))
    for i in range(min(size, len(order))):
        digest = keccak(encode(("bytes32", "uint256"), (seed, i)))
        j = i + int.from_bytes(digest, "big") % (len(order) - i)
        order[i], order[j] = order[j], order[i]
    return sum(1 << index for index in order[:size])
