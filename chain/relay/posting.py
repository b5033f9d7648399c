"""How a relay posts the acts at hand: in batches, and only what the contract would carry out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from chain.acts import Act, gas_for
from chain.errors import (
    AccountUnusable,
    CallRejected,
    ChainUnreachable,
    LedgerError,
    TransactionFailed,
)
from chain.ledger import Ledger
from chain.relay.desk import Desk, Waiting
from chain.relay.limits import Purse
from chain.relay.outcome import Outcome, Status, refused
from chain.relay.submission import Submission
from chain.relay.turn import is_complete, objection
from chain.text import shown
from chain.types import Event, Look, Receipt

WAIT_SECONDS = 10.0
WAIT_SHARE = 0.2
"""An act waits for others at most so long, and at most for this share of the time that its phase has left."""


class Posting(Ledger, Protocol):
    """A ledger through which acts of others are sent."""

    def would_relay(self, task: int, acts: Sequence[Act]) -> int:
        """The bitmap of the acts that `relay` would carry out now; bit `i` stands for the act at `i`."""


@dataclass(frozen=True, slots=True)
class Posted:
    """A transaction of the relay, for its operator: how often it calls which function, and its receipt."""

    task: int
    functions: Counter[str]
    receipt: Receipt


Notice = Callable[[Posted | LedgerError], None]
"""Called with each transaction, and with each error that is waited out."""


@dataclass(slots=True)
class Poster:
    """Posts from one account, in one thread.

    Attributes:
        ledger: The ledger as the paying account sees it.
        purse: The gas that may be spent.
        wait: Seconds that an act waits at most for others to share its transaction.
        clock: Seconds; does not run backwards.
    """

    ledger: Posting
    purse: Purse
    wait: float
    notice: Notice
    clock: Callable[[], float]

    def serve(self, desk: Desk) -> None:
        """Post what is due of one task. An act that cannot be posted for now goes on waiting.

        Raises:
            LedgerError: The chain gives no answer, or refuses for now.
        """
        waiting = desk.waiting
        if not waiting:
            return
        desk.looked = self.clock()
        look = desk.look = self.ledger.look(desk.task)
        fitting = [act for act in waiting if self._still_fits(desk, act, look)]
        advances = [act.submission for act in fitting if act.submission.function == "advance"]
        if advances:
            self._advance(desk, advances, look)
        elif fitting and self._is_due(fitting, look):
            self._relay(desk, [act.submission for act in fitting], look)

    def _still_fits(self, desk: Desk, act: Waiting, look: Look) -> bool:
        against = objection(act.submission, act.index, look)
        if against:
            desk.conclude(act.submission, refused(against))
        return not against

    def _is_due(self, fitting: list[Waiting], look: Look) -> bool:
        if is_complete([(act.index, act.submission) for act in fitting], look.state):
            return True
        patience = min(self.wait, WAIT_SHARE * max(0, look.state.deadline - look.now))
        return self.clock() - fitting[0].since >= patience

    def _relay(self, desk: Desk, submissions: list[Submission], look: Look) -> None:
        batch = self._carried_out(desk, submissions)
        if not batch:
            return
        acts = _as_the_contract_takes_them(batch)
        receipt = self._pay(desk, batch, look, lambda: self.ledger.relay(desk.task, acts))
        if receipt is None:
            return
        events = [entry.event for entry in receipt.entries]
        for submission in batch:
            if any(_is_of(event, submission) for event in events):
                desk.conclude(submission, Outcome(Status.POSTED, receipt.transaction))
            else:
                desk.conclude(submission, refused("the contract left it out of the batch"))

    def _carried_out(self, desk: Desk, submissions: list[Submission]) -> list[Submission]:
        """The acts that the contract would carry out in one batch, in their order.

        Of the others, those are refused that it would not carry out alone either. The rest goes on waiting: whether it
        still fits is decided by what the batch changes.
        """
        acts = _as_the_contract_takes_them(submissions)
        taken = self.ledger.would_relay(desk.task, acts)
        for position, submission in enumerate(submissions):
            if not taken >> position & 1 and not self.ledger.would_relay(
                desk.task, acts[position : position + 1]
            ):
                desk.conclude(submission, refused("the contract would refuse it"))
        return [act for position, act in enumerate(submissions) if taken >> position & 1]

    def _advance(self, desk: Desk, advances: list[Submission], look: Look) -> None:
        receipt = self._pay(desk, advances, look, lambda: self.ledger.advance(desk.task))
        if receipt is not None:
            for submission in advances:
                desk.conclude(submission, Outcome(Status.POSTED, receipt.transaction))

    def _pay(
        self,
        desk: Desk,
        submissions: list[Submission],
        look: Look,
        send: Callable[[], Receipt],
    ) -> Receipt | None:
        """Send a transaction within the purse; None if that is refused, and these acts with it."""
        gas = gas_for(len(submissions))
        against = self.purse.objection(desk.task, gas, look.now)
        if not against:
            try:
                receipt = self._send(desk, look, gas, send)
                functions = Counter[str](submission.function for submission in submissions)
                self.notice(Posted(desk.task, functions, receipt))
                return receipt
            except (AccountUnusable, CallRejected) as error:
                self.notice(error)
                against = shown(error)
        for submission in submissions:
            desk.conclude(submission, refused(against))
        return None

    def _send(self, desk: Desk, look: Look, gas: int, send: Callable[[], Receipt]) -> Receipt:
        """Set gas aside before a transaction is sent, so that a crash cannot forget it; give back what is left."""
        self.purse.spend(desk.task, gas, look.now)
        taken = 0
        try:
            receipt = send()
            taken = receipt.gas_used
            return receipt
        except (ChainUnreachable, TransactionFailed):
            taken = gas  # It may be in a block all the same.
            raise
        finally:
            self.purse.spend(desk.task, taken - gas, look.now)
            desk.look = None


def _as_the_contract_takes_them(submissions: list[Submission]) -> list[Act]:
    """The acts, without the signatures of reveals, which the contract does not read."""
    return [
        Act(submission.act.member, submission.act.call, bytes(32), bytes(32))
        if submission.function == "reveal"
        else submission.act
        for submission in submissions
    ]


def _is_of(event: Event, submission: Submission) -> bool:
    """Whether an event records an act of the submission's member."""
    actor = getattr(event, "client", None) or getattr(event, "member", None)
    return actor == submission.act.member
