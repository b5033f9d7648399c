"""`MemoryLedger`: the ledger in memory, with the same rules as the contract.

The contract is tested against it, and the tests of code that needs a `Ledger` use it.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chain import rules
from chain.acts import Act
from chain.errors import TaskUnknown
from chain.rules import Site
from chain.types import Address, Entry, Look, Receipt, Reveal, TaskOpened, TaskState, Terms

CHAIN_ID = 1337
CONTRACT = Address("0x00000000000000000000000000000000000000C0")
ACCOUNT = Address("0x000000000000000000000000000000000000dEaD")


def wall_clock() -> int:
    """Return the seconds since 1970."""
    return int(time.time())


@dataclass(slots=True)
class _Chain:
    """The state that all accounts of one ledger share. Each successful call is a block of its own."""

    site: Site
    clock: Callable[[], int]
    tasks: list[rules.Task] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    block_number: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def task(self, number: int) -> rules.Task:
        position = number - 1
        if not 0 <= position < len(self.tasks):
            raise TaskUnknown(number)
        return self.tasks[position]

    def seal(self, task: rules.Task, now: int) -> Receipt:
        """Put the events that the task has recorded since the last block into a new one."""
        self.block_number += 1
        new = tuple(
            Entry(event, self.block_number, position, now)
            for position, event in enumerate(task.recorded)
        )
        task.recorded.clear()
        self.entries.extend(new)
        return Receipt(None, self.block_number, 0, new)


class MemoryLedger:
    """`chain.ledger.Ledger` in memory, as one account sees it; safe to share between threads."""

    def __init__(
        self,
        account: Address = ACCOUNT,
        *,
        chain_id: int = CHAIN_ID,
        contract: Address = CONTRACT,
        clock: Callable[[], int] = wall_clock,
    ) -> None:
        """Start an empty ledger.

        Args:
            account: The account that makes the calls.
            chain_id, contract: Those of the ledger to mirror: they go into commitments and history heads.
            clock: Gives the time of the next call, in seconds since 1970; must not run backwards.
        """
        self._account = account
        self._chain = _Chain(Site(chain_id, contract), clock)

    def acting_as(self, account: Address) -> MemoryLedger:
        """Return the same ledger as another account sees it."""
        other = MemoryLedger(account)
        other._chain = self._chain
        return other

    @property
    def chain_id(self) -> int:
        """The chain's id."""
        return self._chain.site.chain_id

    @property
    def contract(self) -> Address:
        """The contract's address, which goes into commitments and history heads."""
        return self._chain.site.contract

    @property
    def account(self) -> Address:
        """The account that makes the calls."""
        return self._account

    def open_task(
        self,
        manifest_digest: bytes,
        genesis_digest: bytes,
        members: Sequence[Address],
        terms: Terms,
    ) -> Receipt:
        """Open a task and its first round."""
        chain = self._chain
        with chain.lock:
            now, number = chain.clock(), 1 + len(chain.tasks)
            task = rules.open_task(
                chain.site,
                number,
                self._account,
                now,
                manifest_digest,
                genesis_digest,
                members,
                terms,
            )
            chain.tasks.append(task)
            return chain.seal(task, now)

    def commit(self, task: int, round: int, commitment: bytes) -> Receipt:
        """Commit to an update."""
        return self._call(task, lambda t, now: t.commit(self._account, now, round, commitment))

    def skip(self, task: int, round: int) -> Receipt:
        """Decline the round."""
        return self._call(task, lambda t, now: t.skip(self._account, now, round))

    def reveal(self, task: int, round: int, opening: Reveal) -> Receipt:
        """Open the commitment."""
        return self._call(task, lambda t, now: t.reveal(self._account, now, round, opening))

    def attest(self, task: int, round: int, aggregate_digest: bytes, included: int) -> Receipt:
        """Attest to an aggregate and the bitmap of the updates in it."""
        return self._call(
            task,
            lambda t, now: t.attest(self._account, now, round, aggregate_digest, included),
        )

    def advance(self, task: int) -> Receipt:
        """End a phase whose deadline has passed."""
        return self._call(task, lambda t, now: t.advance(now))

    def rejoin(self, task: int) -> Receipt:
        """End the caller's own absence."""
        return self._call(task, lambda t, now: t.rejoin(self._account))

    def relay(self, task: int, acts: Sequence[Act]) -> Receipt:
        """Carry out what members signed, all in one block; what is refused is left out."""
        return self._call(task, lambda t, now: t.relay(now, acts))

    def would_relay(self, task: int, acts: Sequence[Act]) -> int:
        """Return the bitmap of the acts that `relay` would carry out now."""
        chain = self._chain
        with chain.lock:
            return copy.deepcopy(chain.task(task)).relay(chain.clock(), acts)

    def task_count(self) -> int:
        """Return the number of the last task opened."""
        return len(self._chain.tasks)

    def task_state(self, task: int) -> TaskState:
        """Return the task's current state."""
        return self._chain.task(task).state

    def look(self, task: int) -> Look:
        """Return the task's current state and the time of a call made now."""
        return Look(self.task_state(task), self._chain.clock())

    def history(self, task: int, from_block: int = 0) -> Sequence[Entry]:
        """Return all entries of the task from a block on, oldest first."""
        return tuple(
            entry
            for entry in self._chain.entries
            if entry.event.task == task and entry.block_number >= from_block
        )

    def opening(self, task: int) -> TaskOpened | None:
        """Return the opening of the task; None if there is no such task."""
        events = (entry.event for entry in self.history(task))
        return next((event for event in events if isinstance(event, TaskOpened)), None)

    def gas_used(self, transaction: bytes) -> int:
        """Return 0: this ledger has no transactions."""
        return 0

    def _call(self, number: int, act: Callable[[rules.Task, int], object]) -> Receipt:
        chain = self._chain
        with chain.lock:
            task, now = chain.task(number), chain.clock()
            act(task, now)
            return chain.seal(task, now)
