"""What a relay holds in memory: for each task the acts that wait, and for each act what became of it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from chain.relay.limits import Bucket
from chain.relay.outcome import WAITING, Outcome, refused
from chain.relay.submission import Submission
from chain.types import Address, Look

MAX_OUTCOMES = 10_000
"""The oldest outcomes above this number are forgotten."""

MEMBER_REQUESTS = (20.0, 2.0)
"""How many requests of one member are answered at once, and how many a second after these."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An act at hand, and since when it waits, in seconds of the relay's clock."""

    since: float
    index: int
    submission: Submission


class Outcomes:
    """What became of the acts of late; safe to share between threads."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, Outcome] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, act: bytes) -> Outcome | None:
        """What became of an act; None if it is not known, or no longer."""
        with self._lock:
            return self._known.get(act)

    def note(self, act: bytes, outcome: Outcome) -> Outcome:
        """Write down what became of an act, and return it."""
        with self._lock:
            self._known[act] = outcome
            self._known.move_to_end(act)
            while len(self._known) > MAX_OUTCOMES:
                self._known.popitem(last=False)
        return outcome


@dataclass(slots=True)
class Desk:
    """One task: its members in order of their index, the acts at hand, and the last look at the state.

    A member has one act at hand. Acts are brought by one thread and taken away by another.
    """

    task: int
    members: Sequence[Address]
    outcomes: Outcomes
    look: Look | None = None
    looked: float = 0.0
    _waiting: dict[Address, Waiting] = field(default_factory=dict)
    _buckets: dict[Address, Bucket] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def waiting(self) -> list[Waiting]:
        """The acts at hand, oldest first."""
        with self._lock:
            return sorted(self._waiting.values(), key=lambda act: act.since)

    def lets_in(self, member: Address, now: float) -> bool:
        """Whether one more request of a member is answered."""
        with self._lock:
            bucket = self._buckets.setdefault(member, Bucket(*MEMBER_REQUESTS))
            return bucket.take(now)

    def keep(self, submission: Submission, now: float) -> Outcome:
        """Let an act wait, in the place of an older one of its member."""
        member = submission.act.member
        act = Waiting(now, self.members.index(member), submission)
        with self._lock:
            older = self._waiting.get(member)
            self._waiting[member] = act
        if older is not None:
            self.outcomes.note(
                older.submission.id, refused("the member has sent another act since")
            )
        return self.outcomes.note(submission.id, WAITING)

    def conclude(self, submission: Submission, outcome: Outcome) -> Outcome:
        """Write down what became of an act; if it was at hand, it no longer is."""
        member = submission.act.member
        with self._lock:
            act = self._waiting.get(member)
            if act is not None and act.submission.id == submission.id:
                del self._waiting[member]
        return self.outcomes.note(submission.id, outcome)
