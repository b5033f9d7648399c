"""`RelayedLedger`: a ledger whose acts go through a relay, and straight to the contract if the relay fails.

The relay is not trusted with anything. It can delay an act, or leave it out; then the member calls the contract itself,
after a share of the time that was left. That an act was carried out is read from the chain and from nowhere else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from chain.accounts import Signer
from chain.acts import Act
from chain.errors import AccountUnusable, CallRejected, RelayUnusable
from chain.ledger import Ledger
from chain.relay.client import Carrier
from chain.relay.outcome import Status
from chain.relay.submission import Carried, sign_submission
from chain.text import shown
from chain.types import (
    Address,
    AggregateAttested,
    Entry,
    Event,
    Look,
    MemberRejoined,
    MembersMissed,
    Receipt,
    Reveal,
    RoundOpened,
    RoundSkipped,
    TaskOpened,
    TaskState,
    Terms,
    UpdateCommitted,
    UpdateRevealed,
)

SHARE = 0.5
"""After this share of the time that its phase has left, an act goes straight to the contract."""

ADVANCE_SECONDS = 10.0
"""An overdue phase has no time left: so long a relay may take to end it."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0
FAILURES = 3
"""So many times in a row a relay may give no answer before a member does without it."""


@dataclass(frozen=True, slots=True)
class _Call:
    """A call of the contract.

    Attributes:
        function, arguments: What is called, and its arguments after the task.
        records: Whether an entry of the log says that it was carried out.
    """

    task: int
    function: Carried
    arguments: tuple[Any, ...]
    records: Callable[[Entry], bool]


class RelayedLedger:
    """`chain.ledger.Ledger` for a member whose acts somebody else sends and pays.

    A receipt of an act that the relay sent names its transaction, and 0 gas: the member paid none.

    Args:
        direct: The ledger as the member's account sees it; everything is read from it.
        relay: Takes the acts.
        signer: Signs them; the account of `direct`.
        share: After this share of the time that its phase has left, an act goes to the contract directly; 0 to 1.
        sleep: Waits; replaced in tests.
        clock: Seconds; does not run backwards.
    """

    def __init__(
        self,
        direct: Ledger,
        relay: Carrier,
        signer: Signer,
        share: float = SHARE,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._direct = direct
        self._relay = relay
        self._signer = signer
        self._share = share
        self._sleep = sleep
        self._clock = clock
        self._read_to: dict[int, int] = {}

    @property
    def chain_id(self) -> int:
        """The chain's id (EIP-155)."""
        return self._direct.chain_id

    @property
    def contract(self) -> Address:
        """The contract's address."""
        return self._direct.contract

    @property
    def account(self) -> Address:
        """The account that signs the acts."""
        return self._direct.account

    def open_task(
        self,
        manifest_digest: bytes,
        genesis_digest: bytes,
        members: Sequence[Address],
        terms: Terms,
    ) -> Receipt:
        """Open a task and its first round, from the account itself: relays carry no such call."""
        return self._direct.open_task(manifest_digest, genesis_digest, members, terms)

    def commit(self, task: int, round: int, commitment: bytes) -> Receipt:
        """Commit to an update."""
        event = UpdateCommitted(task, round, self.account, commitment)
        return self._act(task, "commit", (round, commitment), event)

    def skip(self, task: int, round: int) -> Receipt:
        """Decline the round."""
        return self._act(task, "skip", (round,), RoundSkipped(task, round, self.account))

    def reveal(self, task: int, round: int, opening: Reveal) -> Receipt:
        """Open the commitment."""
        event = UpdateRevealed(task, round, self.account, opening)
        return self._act(task, "reveal", (round, opening), event)

    def attest(self, task: int, round: int, aggregate_digest: bytes, included: int) -> Receipt:
        """Attest to an aggregate and the bitmap of the updates in it."""
        event = AggregateAttested(task, round, self.account, aggregate_digest, included)
        return self._act(task, "attest", (round, aggregate_digest, included), event)

    def advance(self, task: int) -> Receipt:
        """End a phase whose deadline has passed."""
        look = self._direct.look(task)
        overdue = look.state.deadline
        call = _Call(
            task,
            "advance",
            (),
            lambda entry: isinstance(entry.event, MembersMissed) and entry.timestamp > overdue,
        )
        return self._carry(call, look)

    def rejoin(self, task: int) -> Receipt:
        """End the caller's own absence."""
        return self._act(task, "rejoin", (), MemberRejoined(task, self.account))

    def relay(self, task: int, acts: Sequence[Act]) -> Receipt:
        """Carry out what members signed, from the account itself."""
        return self._direct.relay(task, acts)

    def task_count(self) -> int:
        """The number of tasks opened so far."""
        return self._direct.task_count()

    def task_state(self, task: int) -> TaskState:
        """The task's current state."""
        return self._direct.task_state(task)

    def look(self, task: int) -> Look:
        """The task's current state and the chain's time."""
        return self._direct.look(task)

    def history(self, task: int, from_block: int = 0) -> Iterable[Entry]:
        """All entries of the task from a block on, oldest first."""
        return self._direct.history(task, from_block)

    def opening(self, task: int) -> TaskOpened | None:
        """The opening of the task, without the rest of its log; None if the log does not show it."""
        return self._direct.opening(task)

    def gas_used(self, transaction: bytes) -> int:
        """The total gas that a transaction in the history used."""
        return self._direct.gas_used(transaction)

    # ------------------------------------------------------------------------------ carrying

    def _act(
        self, task: int, function: Carried, arguments: tuple[Any, ...], event: Event
    ) -> Receipt:
        call = _Call(task, function, arguments, lambda entry: entry.event == event)
        return self._carry(call, self._direct.look(task))

    def _carry(self, call: _Call, look: Look) -> Receipt:
        """Hand the call to the relay until the chain shows it carried out; in good time, make it directly.

        Raises:
            CallRejected: The contract refuses the call.
            RelayUnusable: The relay has not carried it out so far, and the account cannot pay for a direct call.
        """
        done, reason = self._through_the_relay(call, look)
        if done is not None:
            return done
        try:
            return self._directly(call)
        except AccountUnusable as error:
            raise RelayUnusable(f"{reason}; a direct call failed too: {error}") from None
        except CallRejected:
            # The relay's transaction may have come first.
            done = self._done(call, look.state)
            if done is None:
                raise
            return done

    def _through_the_relay(self, call: _Call, look: Look) -> tuple[Receipt | None, str]:
        """The receipt; None if the relay failed, with the reason."""
        state, reason = look.state, f"{self._relay} has not carried out the {call.function} so far"
        turn = (call.task, state.round, state.attempt)
        submission = sign_submission(
            self._signer, self.chain_id, self.contract, turn, call.function, *call.arguments
        )
        ends, failures, pause = self._clock() + self._patience(call, look), 0, FIRST_PAUSE
        while self._clock() < ends:
            try:
                outcome, failures = self._relay.send(submission), 0
                if outcome.status is Status.REFUSED:
                    return None, f"{self._relay} refuses the {call.function}: {outcome.reason}"
            except RelayUnusable as error:
                failures, reason = failures + 1, shown(error)
                if failures == FAILURES:
                    break
            self._sleep(min(pause, max(0.0, ends - self._clock())))
            pause = min(pause * 2, LONGEST_PAUSE)
            now = self._direct.task_state(call.task)
            if now.history_head == state.history_head:
                continue
            done = self._done(call, look.state)
            if done is not None or _turn(now) != _turn(look.state):
                return done, reason
            state = now
        return None, reason

    def _directly(self, call: _Call) -> Receipt:
        made: Receipt = getattr(self._direct, call.function)(call.task, *call.arguments)
        return made

    def _patience(self, call: _Call, look: Look) -> float:
        if call.function == "advance":
            return ADVANCE_SECONDS
        return self._share * max(0, look.state.deadline - look.now)

    def _done(self, call: _Call, state: TaskState) -> Receipt | None:
        """The receipt of a call that the log shows carried out in this attempt of the round; None if it shows none."""
        entries = [*self._direct.history(call.task, self._read_to.get(call.task, 0))]
        for entry in reversed(entries):
            if call.records(entry):
                self._read_to[call.task] = entry.block_number
                together = (other for other in entries if _same_transaction(other, entry))
                return Receipt(entry.transaction, entry.block_number, 0, tuple(together))
            if _opens(entry.event, state):
                return None
        return None


def _turn(state: TaskState) -> tuple[int, int, int]:
    return state.round, state.attempt, state.phase


def _opens(event: Event, state: TaskState) -> bool:
    """Whether an event opens the attempt that a state is in: what came before it belongs to others."""
    here = (state.round, state.attempt)
    return isinstance(event, RoundOpened) and (event.round, event.attempt) == here


def _same_transaction(one: Entry, other: Entry) -> bool:
    return (one.block_number, one.transaction) == (other.block_number, other.transaction)
