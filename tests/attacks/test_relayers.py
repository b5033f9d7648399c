"""Relays that do as they please: members lose time, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from doubles import Federation, run, small_manifest
from hostile import audit_of
from proxy import BARE, Reply, proxy_to
from relaying import Town

from chain.accounts import Signer, address_of, dev_accounts
from chain.acts import Act
from chain.errors import RelayUnusable
from chain.relay.client import Relay
from chain.relay.ledger import RelayedLedger
from chain.relay.outcome import WAITING, Outcome, Status, refused
from chain.relay.submission import Submission
from chain.types import MembersMissed

SIGNERS: list[Signer] = dev_accounts(13, 3)
ACCOUNTS = tuple(address_of(signer) for signer in SIGNERS)


SHORT = {"count": 2, "commit_window": 40, "reveal_window": 40, "attest_window": 40}


@dataclass
class Relayer:
    """A relay in this process that can do to an act whatever is possible without its member's key."""

    federation: Federation
    taken: list[Submission] = field(default_factory=list)
    elapsed: float = 0.0

    def send(self, submission: Submission) -> Outcome:
        if submission not in self.taken:
            self.taken.append(submission)
        return WAITING

    def work(self) -> None:
        """What the relay does while members wait."""

    def post(self, *acts: Act) -> None:
        self.federation.ledger.relay(self.federation.task, acts)

    def clock(self) -> float:
        return self.elapsed

    def sleep(self, seconds: float) -> None:
        self.elapsed += seconds
        self.federation.clock.time = max(self.federation.clock.time, 1_000_000 + int(self.elapsed))
        self.work()

    def __str__(self) -> str:
        return "the relay"


class Honest(Relayer):
    def work(self) -> None:
        self.post(*(submission.act for submission in self.taken))
        self.taken.clear()


class Drops(Relayer):
    """Says that every act is waiting, and throws it away."""


class Lies(Relayer):
    """Says that every act is in a block."""

    def send(self, submission: Submission) -> Outcome:
        return Outcome(Status.POSTED, bytes(32))


class Refuses(Relayer):
    def send(self, submission: Submission) -> Outcome:
        return refused("for no reason")


class IsDown(Relayer):
    def send(self, submission: Submission) -> Outcome:
        raise RelayUnusable("no answer")


class Repeats(Relayer):
    """Posts every act that it has ever seen again and again, in later phases, rounds and attempts too."""

    def work(self) -> None:
        acts = [submission.act for submission in self.taken]
        self.post(*acts, *acts)


class Reorders(Relayer):
    """Posts the newest act first."""

    def work(self) -> None:
        self.post(*(submission.act for submission in reversed(self.taken)))


class Censors(Relayer):
    """Carries everyone's acts but the first member's."""

    def work(self) -> None:
        self.post(*(sub.act for sub in self.taken if sub.act.member != ACCOUNTS[0]))


class IsSlow(Relayer):
    """Posts an act only when its member has long made the call itself."""

    def work(self) -> None:
        acted = [entry.event for entry in self.federation.ledger.history(self.federation.task)]
        actors = {getattr(event, "client", None) for event in acted}
        late = [submission.act for submission in self.taken if submission.act.member in actors]
        if late:
            self.post(*late)


class Rewrites(Relayer):
    """Puts other arguments, and other members, into the acts."""

    def work(self) -> None:
        for submission in self.taken:
            act = submission.act
            call = bytearray(act.call)
            call[-1] ^= 1
            others = [member for member in ACCOUNTS if member != act.member]
            self.post(replace(act, call=bytes(call)), *(replace(act, member=m) for m in others))
        self.taken.clear()


class RelaysHalf(Relayer):
    """Carries an act and at the same moment gives no answer: the member makes the call too."""

    def send(self, submission: Submission) -> Outcome:
        self.post(submission.act)
        raise RelayUnusable("no answer")


BAD = [Drops, Lies, Refuses, IsDown, Repeats, Reorders, Censors, IsSlow, Rewrites, RelaysHalf]


def final_digest(federation: Federation, relayer: Relayer | None) -> bytes:
    """Run the task to its end, all members' acts through this relay."""
    if relayer is not None:
        start = federation.start

        def relayed(member: str) -> object:
            signer = SIGNERS[ACCOUNTS.index(member)]  # type: ignore[arg-type]
            direct = federation.ledger.acting_as(address_of(signer))
            return start(
                address_of(signer),
                RelayedLedger(direct, relayer, signer, sleep=relayer.sleep, clock=relayer.clock),
            )

        federation.start = relayed  # type: ignore[method-assign, assignment]
    return run(federation, ACCOUNTS)


@pytest.mark.parametrize("kind", [Honest, *BAD], ids=lambda kind: kind.__name__)
def test_the_model_is_that_of_members_who_call_the_contract(
    federate: Callable[..., Federation],
    kind: type[Relayer],
):
    manifest = small_manifest(ACCOUNTS, rounds=SHORT)
    expected = final_digest(federate(manifest, "undisturbed"), None)
    federation = federate(manifest, "relayed")
    relayer = kind(federation)
    assert final_digest(federation, relayer) == expected
    assert audit_of(federation).verdict == "clean"
    events = [entry.event for entry in federation.ledger.history(federation.task)]
    assert not [event for event in events if isinstance(event, MembersMissed)]


GARBAGE = {
    "not JSON": Reply(b"<html>"),
    "another object": Reply(b'{"jsonrpc": "2.0"}'),
    "an unknown status": Reply(b'{"status": "yes"}'),
    "nested": Reply(b"[" * 100_000),
    "a redirect": Reply(b"", 302, {"Location": "http://127.0.0.1:1/"}),
    "an error": Reply(b'{"error": "no"}', 500),
    "compressed": Reply(b"x", 200, {"Content-Encoding": "gzip"}),
    "too long": Reply(b" " * (1 << 20) for _ in range(10)),
    "no HTTP": Reply(b"\x00\x01\x02", BARE),
}


@pytest.mark.parametrize("reply", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_no_answer(reply: Reply):
    with proxy_to("http://127.0.0.1:9") as line:
        line.answer = lambda body: reply  # type: ignore[method-assign]
        with pytest.raises(RelayUnusable):
            Relay(line.url, seconds=5).send(Town().commit_act(0))


def test_an_answer_that_drips_for_ever_is_cut_off():
    with proxy_to("http://127.0.0.1:9") as line:
        line.answer = lambda body: Reply(line.drip())  # type: ignore[method-assign]
        with pytest.raises(RelayUnusable, match=r"no whole answer within 0\.5 s"):
            Relay(line.url, seconds=0.5).send(Town().commit_act(0))
