"""`Ledger`: the protocol that participants and the audit are written against.

Two things implement it: `chain.web3_ledger.Web3Ledger` over JSON-RPC, and `chain.memory_ledger.MemoryLedger`, the same
rules in plain Python. The rules themselves are documented once, in contracts/ITrainingLedger.sol.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from chain.types import Address, Entry, Receipt, Reveal, TaskState, Terms


class Ledger(Protocol):
    """The training ledger as one account sees it.

    Every call that writes raises the `CallRejected` of its reason and then has changed nothing; every call may raise
    `ChainUnreachable` or `ChainRefused`.
    """

    @property
    def chain_id(self) -> int:
        """The chain's id (EIP-155)."""

    @property
    def contract(self) -> Address:
        """Where the contract lives."""

    @property
    def account(self) -> Address:
        """Who calls."""

    def open_task(
        self,
        manifest_digest: bytes,
        genesis_digest: bytes,
        members: Sequence[Address],
        terms: Terms,
    ) -> Receipt:
        """Open a task and its first round; the receipt's first entry is the `TaskOpened` with its number."""

    def commit(self, task: int, round: int, commitment: bytes) -> Receipt:
        """Commit to an update."""

    def skip(self, task: int, round: int) -> Receipt:
        """Decline the round."""

    def reveal(self, task: int, round: int, opening: Reveal) -> Receipt:
        """Open the commitment."""

    def attest(self, task: int, round: int, aggregate_digest: bytes, included: int) -> Receipt:
        """Attest to an aggregate and the bitmap of the updates in it."""

    def advance(self, task: int) -> Receipt:
        """End a phase whose deadline has passed."""

    def rejoin(self, task: int) -> Receipt:
        """End one's own absence."""

    def task_count(self) -> int:
        """Number of tasks opened so far."""

    def task_state(self, task: int) -> TaskState:
        """The task at a glance."""

    def history(self, task: int, from_block: int = 0) -> Sequence[Entry]:
        """Everything recorded of the task from a block on, oldest first."""

    def gas_used(self, transaction: bytes) -> int:
        """Gas that a transaction in the history used, as a whole."""

    def now(self) -> int:
        """The time that the chain would give to a call made now, in seconds since 1970."""
