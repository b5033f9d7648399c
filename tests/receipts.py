"""A task played on the rules in memory in which updates fare in every way, for the tests of receipts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from doubles import GENESIS, MANIFEST, MEMBERS, MODEL, TERMS, Clock

from chain.history import commitment_of
from chain.memory_ledger import MemoryLedger
from chain.types import Address, Entry, Reveal
from fl_node.bundle.state import RecordedState

ANA, BEN, CLEO = MEMBERS
FIRST, SECOND, THIRD = (bytes([number]) * 32 for number in (0xA1, 0xA2, 0xA3))
NEVER = b"\xee" * 32
LENIENT = replace(TERMS, cohort_floor=1, min_updates=1)


@dataclass
class Played:
    """A task of three members and two rounds."""

    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.ledger = MemoryLedger(ANA, clock=self.clock)
        self.ledger.open_task(MANIFEST, GENESIS, MEMBERS, LENIENT)

    @property
    def state(self) -> RecordedState:
        """The task's state, as a bundle has it."""
        return RecordedState(
            self.ledger.chain_id, self.ledger.contract, 1, self.ledger.task_state(1)
        )

    @property
    def entries(self) -> list[Entry]:
        """The task's log."""
        return list(self.ledger.history(1))

    def commit(self, round: int, updates: dict[Address, bytes]) -> None:
        """Let members commit to updates, and the others decline."""
        for member in MEMBERS:
            acting = self.ledger.acting_as(member)
            if member in updates:
                acting.commit(1, round, self._commitment(round, member, updates[member]))
            else:
                acting.skip(1, round)

    def reveal(self, round: int, updates: dict[Address, bytes]) -> None:
        """Let members open their commitments."""
        for member, update in updates.items():
            self.ledger.acting_as(member).reveal(1, round, opening(update))

    def attest(self, round: int, included: int, model: bytes = MODEL) -> None:
        """Let two members attest to a model, which makes it final."""
        for member in (ANA, BEN):
            self.ledger.acting_as(member).attest(1, round, model, included)

    def disagree(self, round: int, included: int) -> None:
        """Let every member attest to another model, which aborts the attempt."""
        for number, member in enumerate(MEMBERS, start=1):
            self.ledger.acting_as(member).attest(1, round, bytes([number]) * 32, included)

    def _commitment(self, round: int, member: Address, update: bytes) -> bytes:
        site = self.ledger.chain_id, self.ledger.contract
        return commitment_of(*site, 1, round, member, opening(update))


def opening(update: bytes) -> Reveal:
    """The opening of a commitment to an update."""
    return Reveal(update, 10, 1_500_000, 700_000, b"\x04" * 32)


def played() -> Played:
    """One final round, whose first attempt was aborted, and a second round that is running.

    Attempt 0: Ben reveals FIRST, the others decline. Attempt 1: Ana reveals FIRST, Ben SECOND, Cleo THIRD, which
    is left out.
    """
    task = Played()
    task.commit(1, {BEN: FIRST})
    task.reveal(1, {BEN: FIRST})
    task.disagree(1, included=0b010)
    again = {ANA: FIRST, BEN: SECOND, CLEO: THIRD}
    task.commit(1, again)
    task.reveal(1, again)
    task.attest(1, included=0b011)
    return task
