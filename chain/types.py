"""The contract's values in Python: phases, structs and events, field by field.

`tests/chain/test_types.py` compares them with the compiled interface, so the two cannot drift apart.
Times are seconds since 1970, fractions are basis points (10 000 = all), losses are millionths, digests are 32 bytes. A
bitmap is an int in which bit `i` stands for the member at index `i`, in ascending order of address.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NewType

Address = NewType("Address", str)
"""An EIP-55 checksummed address; `chain.accounts.to_address` makes one."""

MAX_MEMBERS = 96
BASIS_POINTS = 10_000


class Phase(IntEnum):
    """Where a task is (ITrainingLedger.Phase)."""

    NONE = 0
    COMMIT = 1
    REVEAL = 2
    ATTEST = 3
    FINISHED = 4


@dataclass(frozen=True, slots=True)
class Terms:
    """What is fixed when a task opens (ITrainingLedger.Terms gives units and ranges)."""

    rounds: int
    commit_window: int
    reveal_window: int
    attest_window: int
    cohort_fraction: int
    cohort_floor: int
    min_updates: int
    quorum: int


@dataclass(frozen=True, slots=True)
class Reveal:
    """The opening of a client's commitment (ITrainingLedger.Reveal)."""

    update_digest: bytes
    num_examples: int
    training_loss: int
    held_out_loss: int
    salt: bytes


@dataclass(frozen=True, slots=True)
class TaskState:
    """A task's current state (ITrainingLedger.TaskState)."""

    coordinator: Address
    manifest_digest: bytes
    genesis_digest: bytes
    terms: Terms
    member_count: int
    phase: Phase
    round: int
    attempt: int
    deadline: int
    cohort: int
    awaited: int
    committed: int
    revealed: int
    absent: int
    lead_votes: int
    parent_digest: bytes
    history_head: bytes


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a task.

    Attributes:
        state: The task's newest state.
        now: The chain's time for a call made now, in seconds since 1970.
        settled: Whether the task stays in its phase: no reorganisation that drops what opened it is to be expected.
        next_block: The seconds until the chain's next block is due, 0 to 15; 0 if nobody knows.
    """

    state: TaskState
    now: int
    settled: bool = True
    next_block: float = 0.0


@dataclass(frozen=True, slots=True)
class TaskOpened:
    task: int
    coordinator: Address
    manifest_digest: bytes
    genesis_digest: bytes
    members: tuple[Address, ...]
    terms: Terms


@dataclass(frozen=True, slots=True)
class RoundOpened:
    task: int
    round: int
    attempt: int
    parent_digest: bytes
    seed: bytes
    cohort: int
    deadline: int


@dataclass(frozen=True, slots=True)
class UpdateCommitted:
    task: int
    round: int
    client: Address
    commitment: bytes


@dataclass(frozen=True, slots=True)
class RoundSkipped:
    task: int
    round: int
    member: Address


@dataclass(frozen=True, slots=True)
class RevealOpened:
    task: int
    round: int
    committed: int
    deadline: int


@dataclass(frozen=True, slots=True)
class UpdateRevealed:
    task: int
    round: int
    client: Address
    reveal: Reveal


@dataclass(frozen=True, slots=True)
class AttestOpened:
    task: int
    round: int
    revealed: int
    attesters: int
    deadline: int


@dataclass(frozen=True, slots=True)
class AggregateAttested:
    task: int
    round: int
    client: Address
    aggregate_digest: bytes
    included: int


@dataclass(frozen=True, slots=True)
class MembersMissed:
    task: int
    round: int
    missed: int


@dataclass(frozen=True, slots=True)
class MemberRejoined:
    task: int
    member: Address


@dataclass(frozen=True, slots=True)
class AbsencesForgiven:
    task: int
    forgiven: int


@dataclass(frozen=True, slots=True)
class RoundFinalised:
    task: int
    round: int
    aggregate_digest: bytes
    included: int


@dataclass(frozen=True, slots=True)
class RoundAborted:
    task: int
    round: int
    attempt: int
    phase: Phase


@dataclass(frozen=True, slots=True)
class TaskFinished:
    task: int
    final_digest: bytes


Event = (
    TaskOpened
    | RoundOpened
    | UpdateCommitted
    | RoundSkipped
    | RevealOpened
    | UpdateRevealed
    | AttestOpened
    | AggregateAttested
    | MembersMissed
    | MemberRejoined
    | AbsencesForgiven
    | RoundFinalised
    | RoundAborted
    | TaskFinished
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the history: an event, and where and when the chain recorded it.

    `transaction` and `block_hash` are None if the ledger has no transactions and blocks (`MemoryLedger`). What a node
    keeps of the log does not have the hashes of blocks either.
    """

    event: Event
    block_number: int
    log_index: int
    timestamp: int
    transaction: bytes | None = None
    block_hash: bytes | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The result of a call to the ledger: its transaction, block, gas, and the entries it added."""

    transaction: bytes | None
    block_number: int
    gas_used: int
    entries: tuple[Entry, ...]


def address_number(address: Address) -> int:
    """An address as a number: members, updates and reveals are ordered by it."""
    return int(address, 16)


def indices(bitmap: int) -> Iterator[int]:
    """Yield the positions of a bitmap's set bits, lowest first."""
    while bitmap:
        low = bitmap & -bitmap
        yield low.bit_length() - 1
        bitmap ^= low
