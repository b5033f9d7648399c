"""`Ledger`: the interface that participants use, and `LedgerReader`, the part of it that an audit needs.

`chain.web3_ledger.Web3Ledger` over JSON-RPC implements all of it, and so does `chain.memory_ledger.MemoryLedger`, the
same rules in plain Python. contracts/ITrainingLedger.sol documents the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from chain.acts import Act
from chain.types import Address, Entry, Look, Receipt, Reveal, TaskOpened, TaskState, Terms


class LedgerReader(Protocol):
    """The training ledger as an audit reads it. Every call may raise `ChainUnreachable` or `ChainRefused`."""

    @property
    def chain_id(self) -> int:
        """The chain's id (EIP-155)."""

    @property
    def contract(self) -> Address:
        """The contract's address."""

    def task_state(self, task: int) -> TaskState:
        """The task's current state."""

    def history(self, task: int, from_block: int = 0) -> Iterable[Entry]:
        """All entries of the task from a block on, oldest first; a long log may be read as it is asked for."""

    def gas_used(self, transaction: bytes) -> int:
        """The total gas that a transaction in the history used."""


class Ledger(LedgerReader, Protocol):
    """The training ledger as one account sees it.

    A call that writes raises a `CallRejected` if the contract refuses it, and then has changed nothing.
    """

    @property
    def account(self) -> Address:
        """The account that makes the calls."""

    def open_task(
        self,
        manifest_digest: bytes,
        genesis_digest: bytes,
        members: Sequence[Address],
        terms: Terms,
    ) -> Receipt:
        """Open a task and its first round; the receipt's first entry is the `TaskOpened` with the task's number."""

    def commit(self, task: int, round: int, commitment: bytes) -> Receipt:
        """Commit to an update."""

    def skip(self, task: int, round: int) -> Receipt:
        """Decline the round."""

    def reveal(self, task: int, round: int, opening: Reveal) -> Receipt:
        """Open the commitment."""

    def attest(self, task: int, round: int, aggregate_digest: bytes, included: int) -> Receipt:
        """Attest to an aggregate and the bitmap of the updates in it."""

    def relay(self, task: int, acts: Sequence[Act]) -> Receipt:
        """Carry out what members signed, in order, in one transaction; an act that is refused is left out.

        The receipt's entries say what was carried out: they are those of several members.
        """

    def advance(self, task: int) -> Receipt:
        """End a phase whose deadline has passed."""

    def rejoin(self, task: int) -> Receipt:
        """End the caller's own absence."""

    def task_count(self) -> int:
        """The number of tasks opened so far."""

    def look(self, task: int) -> Look:
        """The task's current state and the chain's time, in one request where the chain allows it."""

    def opening(self, task: int) -> TaskOpened | None:
        """The opening of the task, without the rest of its log; None if the log does not show it."""
