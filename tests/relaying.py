"""A task in memory, members who hand their acts to a relay, and a time that passes when somebody waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from doubles import GENESIS, MANIFEST, MODEL, TERMS

from chain.accounts import Signer, address_of, dev_accounts
from chain.history import commitment_of
from chain.memory_ledger import MemoryLedger
from chain.relay.ledger import RelayedLedger
from chain.relay.limits import Caps, Purse
from chain.relay.outcome import Outcome
from chain.relay.relayer import Relayer
from chain.relay.submission import Carried, Submission, sign_submission
from chain.types import Event, Reveal, TaskState, Terms


@dataclass
class Time:
    """Seconds that pass only when somebody sleeps; meanwhile the relay does its work."""

    elapsed: float = 0.0
    meanwhile: Callable[[], None] = lambda: None

    def __call__(self) -> float:
        return self.elapsed

    def chain(self) -> int:
        return 1_000_000 + int(self.elapsed)

    def sleep(self, seconds: float) -> None:
        self.elapsed += seconds
        self.meanwhile()


@dataclass
class Desk:
    """The relay as its members reach it, in this process. `tamper` puts a bad relay, or a bad line, in its place."""

    relayer: Relayer
    tamper: Callable[[Submission], Outcome] | None = None
    asked: list[Submission] = field(default_factory=list)

    def send(self, submission: Submission) -> Outcome:
        self.asked.append(submission)
        return self.tamper(submission) if self.tamper else self.relayer.submit(submission)

    def __str__(self) -> str:
        return "the relay"


class Town:
    """A task of some members, a relay that serves it, and the calls that drive it."""

    def __init__(
        self, members: int = 3, terms: Terms = TERMS, purse: Purse | None = None, **options: Any
    ) -> None:
        self.time = Time()
        self.signers: list[Signer] = dev_accounts(5, members)
        self.ledger = MemoryLedger(clock=self.time.chain)
        accounts = [address_of(signer) for signer in self.signers]
        opened = self.ledger.open_task(MANIFEST, GENESIS, accounts, terms)
        self.task = opened.entries[0].event.task
        self.notices: list[Any] = []
        self.relayer = Relayer(
            self.ledger,
            self.ledger,
            {self.task: accounts},
            purse or Purse(Caps()),
            notice=self.notices.append,
            clock=self.time,
            **options,
        )
        self.desk = Desk(self.relayer)
        self.time.meanwhile = self.relayer.turn

    @property
    def state(self) -> TaskState:
        return self.ledger.task_state(self.task)

    @property
    def events(self) -> list[Event]:
        return [entry.event for entry in self.ledger.history(self.task)]

    def happened(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def direct(self, member: int) -> MemoryLedger:
        return self.ledger.acting_as(address_of(self.signers[member]))

    def member(self, member: int, direct: Any = None, **options: Any) -> RelayedLedger:
        return RelayedLedger(
            direct or self.direct(member),
            self.desk,
            self.signers[member],
            sleep=self.time.sleep,
            clock=self.time,
            **options,
        )

    def opening(self, member: int) -> Reveal:
        return Reveal(bytes([10 + member]) * 32, 100, 5, 7, bytes([20 + member]) * 32)

    def commitment(self, member: int) -> bytes:
        client = address_of(self.signers[member])
        where = (self.ledger.chain_id, self.ledger.contract, self.task, self.state.round, client)
        return commitment_of(*where, self.opening(member))

    def signed(self, member: int, function: Carried, *arguments: Any, **turn: int) -> Submission:
        """An act of the present turn, save for what `turn` changes; its arguments follow task and round."""
        state = self.state
        where = {"task": self.task, "round": state.round, "attempt": state.attempt} | turn
        task, round, attempt = where["task"], where["round"], where["attempt"]
        first = () if function in ("rejoin", "advance") else (round,)
        return sign_submission(
            self.signers[member],
            self.ledger.chain_id,
            self.ledger.contract,
            (task, round, attempt),
            function,
            *first,
            *arguments,
        )

    def commit_act(self, member: int, **turn: int) -> Submission:
        return self.signed(member, "commit", self.commitment(member), **turn)

    def reveal_act(self, member: int) -> Submission:
        return self.signed(member, "reveal", self.opening(member))

    def vote_act(self, member: int, digest: bytes = MODEL, included: int = 0b111) -> Submission:
        return self.signed(member, "attest", digest, included)

    def submit(self, *submissions: Submission) -> list[Outcome]:
        return [self.relayer.submit(submission) for submission in submissions]

    def post(self, *submissions: Submission) -> list[Outcome | None]:
        """Hand acts over, and let the relay work until all have waited long enough; what became of them."""
        self.submit(*submissions)
        self.relayer.turn()
        self.time.sleep(60)
        return [self.relayer.outcome(submission.id) for submission in submissions]

    def let_deadline_pass(self) -> None:
        self.time.elapsed += self.state.deadline - self.time.chain() + 1


def forged(submission: Submission, **changes: Any) -> Submission:
    """The same with other fields of its act, and the old signature."""
    return replace(submission, act=replace(submission.act, **changes))
