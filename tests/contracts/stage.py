"""A task with five members on a ledger, and the calls that drive its rounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from chain.accounts import Signer
from chain.acts import Act, Relayed, sign_act, write_call
from chain.history import commitment_of
from chain.ledger import Ledger
from chain.types import Address, Event, Receipt, Reveal, TaskState, Terms, indices

MANIFEST, GENESIS, AGGREGATE, OTHER = (bytes([i]) * 32 for i in (1, 2, 3, 4))
TERMS = Terms(
    rounds=3,
    commit_window=100,
    reveal_window=200,
    attest_window=300,
    cohort_fraction=10_000,
    cohort_floor=3,
    min_updates=2,
    quorum=6_666,
)


def opening_of(index: int) -> Reveal:
    """What the member at this index commits to."""
    return Reveal(bytes([index + 10]) * 32, 100 + index, 1_500_000, -2_500_000, bytes([9]) * 32)


@dataclass
class Stage:
    """A ledger whose clock the test holds; `task` is the one last opened."""

    ledger: Ledger
    acting_as: Callable[[Address], Ledger]
    travel: Callable[[int], None]
    accounts: list[Address]
    signers: Mapping[Address, Signer]
    task: int = 0

    @property
    def members(self) -> list[Address]:
        return self.accounts[:5]

    @property
    def stranger(self) -> Ledger:
        return self.acting_as(self.accounts[5])

    @property
    def state(self) -> TaskState:
        return self.ledger.task_state(self.task)

    def member(self, index: int) -> Ledger:
        return self.acting_as(self.members[index])

    def open(self, **changes: int) -> Receipt:
        terms = replace(TERMS, **changes)
        receipt = self.ledger.open_task(MANIFEST, GENESIS, self.members, terms)
        self.task = receipt.entries[0].event.task
        return receipt

    def commit(self, *members: int) -> Receipt:
        for index in members:
            receipt = self.member(index).commit(self.task, self.state.round, self.commitment(index))
        return receipt

    def skip(self, *members: int) -> Receipt:
        for index in members:
            receipt = self.member(index).skip(self.task, self.state.round)
        return receipt

    def reveal(self, *members: int) -> Receipt:
        for index in members:
            receipt = self.member(index).reveal(self.task, self.state.round, opening_of(index))
        return receipt

    def attest(self, *members: int, digest: bytes = AGGREGATE, included: int = 0b1) -> Receipt:
        for index in members:
            ledger = self.member(index)
            receipt = ledger.attest(self.task, self.state.round, digest, included)
        return receipt

    def sign(self, index: int, name: Relayed, *arguments: Any) -> Act:
        """An act of the member at this index, for the round and attempt that the task is at."""
        state = self.state
        if name != "rejoin":
            arguments = (state.round, *arguments)
        place = (self.ledger.chain_id, self.ledger.contract, state.round, state.attempt)
        call = write_call(name, self.task, *arguments)
        return sign_act(self.signers[self.members[index]], *place, call)

    def commitments(self, *members: int) -> list[Act]:
        return [self.sign(index, "commit", self.commitment(index)) for index in members]

    def reveals(self, *members: int) -> list[Act]:
        return [self.sign(index, "reveal", opening_of(index)) for index in members]

    def votes(self, *members: int, digest: bytes = AGGREGATE, included: int = 0b1) -> list[Act]:
        return [self.sign(index, "attest", digest, included) for index in members]

    def relay(self, *acts: Act) -> Receipt:
        """Let a stranger send what members signed."""
        return self.stranger.relay(self.task, acts)

    def commitment(self, index: int, **changes: int) -> bytes:
        ledger, opening = self.ledger, replace(opening_of(index), **changes)
        round, client = self.state.round, self.members[index]
        return commitment_of(ledger.chain_id, ledger.contract, self.task, round, client, opening)

    def miss(self) -> Receipt:
        """Let the deadline pass, and have a stranger enforce it."""
        self.travel(self.state.deadline + 1)
        return self.stranger.advance(self.task)

    def final_round(self) -> Receipt:
        """Play one round with everyone who is drawn."""
        cohort = list(indices(self.state.cohort))
        self.commit(*cohort)
        self.reveal(*cohort)
        votes = len(cohort) * self.state.terms.quorum // 10_000 + 1
        return self.attest(*cohort[:votes], included=self.state.revealed)


def events(receipts: Receipt | Iterable[Receipt]) -> list[Event]:
    """The events of one or more calls."""
    several = [receipts] if isinstance(receipts, Receipt) else receipts
    return [entry.event for receipt in several for entry in receipt.entries]
