"""The relay itself, without HTTP: takes signed acts, and posts them in batches from its own account.

Nothing is paid for before it is checked: the act is of a member, who signed it for this turn; the state waits for it;
the contract would carry it out; and there is gas left for it. Members believe the chain and not the relay, so that the
acts at hand live in memory alone: after a crash they are lost, and members send them again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from chain.errors import LedgerError
from chain.ledger import Ledger
from chain.relay.desk import Desk, Outcomes
from chain.relay.health import Health
from chain.relay.limits import Purse
from chain.relay.outcome import WAITING, Outcome, Status, refused
from chain.relay.posting import WAIT_SECONDS, Notice, Poster, Posting
from chain.relay.submission import Submission
from chain.relay.turn import objection
from chain.types import Address

LOOK_SECONDS = 1.0
"""A look that is older does not decide that an act is taken; none but a new one decides that it is refused."""


class TooManyRequests(Exception):
    """The member asks too often; nothing was looked at."""


class Relayer:
    """Takes acts in one thread, and posts them in another.

    Args:
        reading: The ledger on which acts are held against the state when they come in; used by `submit` alone.
        posting: The ledger as the paying account sees it; used by `turn` alone.
        members: The tasks that are served, and each one's members in order of their index.
        purse: The gas that may be spent.
        wait: Seconds that an act waits at most for others to share its transaction.
        notice: Called with each transaction, and with each error that is waited out.
        clock: Seconds; does not run backwards.

    Attributes:
        wanted: Set when an act has come in, so that `turn` is worth a call.
    """

    def __init__(
        self,
        reading: Ledger,
        posting: Posting,
        members: Mapping[int, Sequence[Address]],
        purse: Purse,
        wait: float = WAIT_SECONDS,
        notice: Notice = lambda outcome: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.wanted = threading.Event()
        self._reading = reading
        self._outcomes = Outcomes()
        self._desks = {
            task: Desk(task, tuple(those), self._outcomes) for task, those in members.items()
        }
        self._poster = Poster(posting, purse, wait, notice, clock)
        self._notice = notice
        self._clock = clock

    @property
    def tasks(self) -> list[int]:
        """The tasks that are served."""
        return sorted(self._desks)

    def health(self) -> Health:
        """What the relay says of itself."""
        ledger, purse = self._poster.ledger, self._poster.purse
        return Health(
            chain_id=ledger.chain_id,
            contract=ledger.contract,
            account=ledger.account,
            tasks={task: purse.spent_on(task) for task in self.tasks},
            waiting=sum(len(desk.waiting) for desk in self._desks.values()),
            gas_per_task=purse.caps.task,
            gas_today=purse.spent_today,
            gas_per_day=purse.caps.day,
        )

    def outcome(self, act: bytes) -> Outcome | None:
        """What became of an act; None if no such act was taken, or long ago."""
        return self._outcomes.get(act)

    def submit(self, submission: Submission) -> Outcome:
        """Take an act. Sent again, it is the same act: nothing is done twice.

        Raises:
            TooManyRequests: The member's requests of late are too many.
            LedgerError: The chain gives no answer.
        """
        desk = self._desks.get(submission.task)
        if desk is None:
            served = ", ".join(map(str, self.tasks))
            return refused(f"this relay serves task {served}, not task {submission.task}")
        against = self._stranger(desk, submission)
        if against:
            return refused(against)
        if not desk.lets_in(submission.act.member, self._clock()):
            raise TooManyRequests
        known = self._outcomes.get(submission.id)
        if known == WAITING:
            return WAITING
        against = self._objection(desk, submission)
        if not against:  # Also if it was posted before: a reorganisation has dropped it.
            outcome = desk.keep(submission, self._clock())
            self.wanted.set()
            return outcome
        if known is not None and known.status is Status.POSTED:
            return known
        return desk.conclude(submission, refused(against))

    def turn(self) -> None:
        """Post what is due of every task; what cannot be posted for now goes on waiting."""
        self.wanted.clear()
        for desk in self._desks.values():
            try:
                self._poster.serve(desk)
            except LedgerError as error:
                self._notice(error)

    def post_all(self) -> None:
        """Post every act at hand, without waiting for others: the end of a relay."""
        self._poster.wait = 0.0
        self.turn()

    def _stranger(self, desk: Desk, submission: Submission) -> str:
        """Why the act is no member's; empty if it is a member's. Nothing is asked of the chain for strangers."""
        member = submission.act.member
        if member not in desk.members:
            return f"{member} is no member of task {desk.task}"
        if not submission.is_signed(self._reading.chain_id, self._reading.contract):
            return (
                f"the signature is not {member}'s for this call, round, attempt, chain and contract"
            )
        return ""

    def _objection(self, desk: Desk, submission: Submission) -> str:
        """Why the act does not fit the state. A refusal rests on a look that is newer than the act."""
        index, now, look = desk.members.index(submission.act.member), self._clock(), desk.look
        if look is None or now - desk.looked >= LOOK_SECONDS or objection(submission, index, look):
            look = self._reading.look(desk.task)
            desk.look, desk.looked = look, now
        return objection(submission, index, look)
