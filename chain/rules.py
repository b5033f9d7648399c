"""The rules of one task, in Python: an executable model of contracts/TrainingLedger.sol.

contracts/ITrainingLedger.sol documents the rules. This module follows the contract's names and order, so that the two
can be read side by side; `tests/contracts/test_model.py` makes the same calls on both. What the chain provides is an
argument here: the caller and the time. One thing the model leaves out: deadlines that do not fit 32 bits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field, replace

from chain.acts import Act, act_signer, read_call
from chain.errors import (
    ActInvalid,
    AggregateInvalid,
    CallRejected,
    CommitmentMismatch,
    CommitmentMissing,
    DeadlineAhead,
    DeadlinePassed,
    DigestMissing,
    ExamplesMissing,
    IncludedInvalid,
    MemberCountInvalid,
    MembersUnordered,
    MemberUnknown,
    NotAbsent,
    NotAwaited,
    PhaseMismatch,
    RoundMismatch,
    TermsInvalid,
)
from chain.history import cohort_seed, commitment_of, draw, first_head, fold
from chain.types import (
    BASIS_POINTS,
    MAX_MEMBERS,
    AbsencesForgiven,
    Address,
    AggregateAttested,
    AttestOpened,
    Event,
    MemberRejoined,
    MembersMissed,
    Phase,
    Reveal,
    RevealOpened,
    RoundAborted,
    RoundFinalised,
    RoundOpened,
    RoundSkipped,
    TaskFinished,
    TaskOpened,
    TaskState,
    Terms,
    UpdateCommitted,
    UpdateRevealed,
    address_number,
)

NO_BYTES = bytes(32)


@dataclass(frozen=True, slots=True)
class Site:
    """The contract's chain and address."""

    chain_id: int
    contract: Address


@dataclass(slots=True)
class Task:
    """What the contract stores of one task; each public method is one call of the interface.

    A method that raises has changed nothing. `recorded` collects the events, oldest first.
    """

    site: Site
    number: int
    members: tuple[Address, ...]
    state: TaskState
    commitments: dict[int, bytes] = field(default_factory=dict)
    votes: Counter[tuple[bytes, int]] = field(default_factory=Counter)
    recorded: list[Event] = field(default_factory=list)

    def commit(self, caller: Address, now: int, round: int, commitment: bytes) -> None:
        index = self._require_turn(caller, now, round, Phase.COMMIT)
        if commitment == NO_BYTES:
            raise CommitmentMissing

        self.commitments[index] = commitment
        self._record(UpdateCommitted(self.number, round, caller, commitment))
        self._set(committed=self.state.committed | 1 << index)
        self._settle(now, index)

    def skip(self, caller: Address, now: int, round: int) -> None:
        index = self._require_turn(caller, now, round, Phase.COMMIT)

        self._record(RoundSkipped(self.number, round, caller))
        self._settle(now, index)

    def reveal(self, caller: Address, now: int, round: int, opening: Reveal) -> None:
        index = self._require_turn(caller, now, round, Phase.REVEAL)
        if opening.num_examples == 0:
            raise ExamplesMissing
        expected = self.commitments[index]
        site = self.site
        actual = commitment_of(site.chain_id, site.contract, self.number, round, caller, opening)
        if actual != expected:
            raise CommitmentMismatch(expected, actual)

        self._record(UpdateRevealed(self.number, round, caller, opening))
        self._set(revealed=self.state.revealed | 1 << index)
        self._settle(now, index)

    def attest(
        self, caller: Address, now: int, round: int, aggregate_digest: bytes, included: int
    ) -> None:
        index = self._require_turn(caller, now, round, Phase.ATTEST)
        revealed = self.state.revealed
        if included & ~revealed:
            raise IncludedInvalid(included, revealed)
        unchanged = aggregate_digest == self.state.parent_digest
        if aggregate_digest == NO_BYTES or not (included or unchanged):
            raise AggregateInvalid(aggregate_digest)

        self._record(AggregateAttested(self.number, round, caller, aggregate_digest, included))
        if self._is_quorum(self._vote((aggregate_digest, included))):
            self._finalise(now, aggregate_digest, included)
        else:
            self._settle(now, index)

    def rejoin(self, caller: Address) -> None:
        bit = 1 << self._require_member(caller)
        self._require_running()
        if not self.state.absent & bit:
            raise NotAbsent(caller)

        self._set(absent=self.state.absent & ~bit)
        self._record(MemberRejoined(self.number, caller))

    def advance(self, now: int) -> None:
        state = self.state
        self._require_running()
        if now <= state.deadline:
            raise DeadlineAhead(state.deadline)

        self._set(absent=state.absent | state.awaited)
        self._record(MembersMissed(self.number, state.round, state.awaited))
        if self._is_quorum(self._attesters().bit_count()):
            self._close(now)
        else:
            self._abort(now)

    def relay(self, now: int, acts: Sequence[Act]) -> int:
        """Return the bitmap of the acts that were carried out."""
        return sum(1 << i for i, act in enumerate(acts) if self._carry_out(now, act))

    def _carry_out(self, now: int, act: Act) -> bool:
        site, state = self.site, self.state
        try:
            call = read_call(act.call)
            place = (site.chain_id, site.contract, state.round, state.attempt)
            if call.task != self.number or (
                call.name != "reveal" and act_signer(*place, act) != act.member
            ):
                return False
            if call.name == "rejoin":
                self.rejoin(act.member)
            else:
                getattr(self, call.name)(act.member, now, *call.arguments)
        except (ActInvalid, CallRejected):
            return False
        return True

    # ------------------------------------------------------------------------------ checks

    def _require_turn(self, caller: Address, now: int, round: int, phase: Phase) -> int:
        index = self._require_member(caller)
        state = self.state
        if state.phase != phase:
            raise PhaseMismatch(phase, state.phase)
        if state.round != round:
            raise RoundMismatch(round, state.round)
        if now > state.deadline:
            raise DeadlinePassed(state.deadline)
        if not state.awaited >> index & 1:
            raise NotAwaited(caller)
        return index

    def _require_member(self, caller: Address) -> int:
        if caller not in self.members:
            raise MemberUnknown(self.number, caller)
        return self.members.index(caller)

    def _require_running(self) -> None:
        if self.state.phase == Phase.FINISHED:
            raise PhaseMismatch(Phase.COMMIT, self.state.phase)

    # ------------------------------------------------------------------------------ transitions

    def _vote(self, pair: tuple[bytes, int]) -> int:
        self.votes[pair] += 1
        lead = next(iter(self.votes))
        self._set(lead_votes=self.votes[lead])
        return self.votes[pair]

    def _is_quorum(self, votes: int) -> bool:
        cohort, quorum = self.state.cohort, self.state.terms.quorum
        return votes * BASIS_POINTS > cohort.bit_count() * quorum

    def _attesters(self) -> int:
        return self.state.cohort & ~self.state.absent

    def _settle(self, now: int, index: int) -> None:
        self._set(awaited=self.state.awaited & ~(1 << index))
        state = self.state
        if state.awaited:
            return
        if not (state.committed | state.revealed):  # all declined
            self._finalise(now, state.parent_digest, 0)
        else:
            self._close(now)

    def _close(self, now: int) -> None:
        state = self.state
        done = state.committed if state.phase == Phase.COMMIT else state.revealed
        if state.phase == Phase.ATTEST or done.bit_count() < state.terms.min_updates:
            self._abort(now)
        elif state.phase == Phase.COMMIT:
            self._open_reveal(now)
        else:
            self._open_attest(now)

    def _open_reveal(self, now: int) -> None:
        committed, deadline = self.state.committed, now + self.state.terms.reveal_window
        self._set(phase=Phase.REVEAL, awaited=committed, deadline=deadline)
        self._record(RevealOpened(self.number, self.state.round, committed, deadline))

    def _open_attest(self, now: int) -> None:
        attesters, deadline = self._attesters(), now + self.state.terms.attest_window
        self.votes = Counter()
        self._set(phase=Phase.ATTEST, awaited=attesters, committed=0, deadline=deadline)
        round, revealed = self.state.round, self.state.revealed
        self._record(AttestOpened(self.number, round, revealed, attesters, deadline))

    def _abort(self, now: int) -> None:
        state = self.state
        self._record(RoundAborted(self.number, state.round, state.attempt, state.phase))
        self._open_round(now, state.round, state.attempt + 1)

    def _finalise(self, now: int, aggregate_digest: bytes, included: int) -> None:
        round = self.state.round
        self._set(parent_digest=aggregate_digest)
        self._record(RoundFinalised(self.number, round, aggregate_digest, included))
        if round < self.state.terms.rounds:
            self._open_round(now, round + 1, 0)
        else:
            self._finish(aggregate_digest)

    def _finish(self, final_digest: bytes) -> None:
        self._set(
            phase=Phase.FINISHED, awaited=0, committed=0, revealed=0, deadline=0, lead_votes=0
        )
        self._record(TaskFinished(self.number, final_digest))

    def _open_round(self, now: int, round: int, attempt: int) -> None:
        parent = self.state.parent_digest
        seed = cohort_seed(parent, self.number, round, attempt)
        cohort = self._draw_cohort(seed)
        deadline = now + self.state.terms.commit_window
        self._set(
            phase=Phase.COMMIT,
            round=round,
            attempt=attempt,
            cohort=cohort,
            awaited=cohort,
            committed=0,
            revealed=0,
            deadline=deadline,
            lead_votes=0,
        )
        self._record(RoundOpened(self.number, round, attempt, parent, seed, cohort, deadline))

    def _draw_cohort(self, seed: bytes) -> int:
        terms, everyone = self.state.terms, (1 << len(self.members)) - 1
        present = everyone & ~self.state.absent
        if present.bit_count() < terms.cohort_floor:
            present = everyone
            self._forgive()
        size = present.bit_count() * terms.cohort_fraction // BASIS_POINTS
        return draw(seed, present, max(size, terms.cohort_floor))

    def _forgive(self) -> None:
        forgiven = self.state.absent
        self._set(absent=0)
        self._record(AbsencesForgiven(self.number, forgiven))

    def _set(self, **changes: object) -> None:
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]

    def _record(self, event: Event) -> None:
        self.recorded.append(event)
        self._set(history_head=fold(self.state.history_head, event))


def open_task(
    site: Site,
    number: int,
    caller: Address,
    now: int,
    manifest_digest: bytes,
    genesis_digest: bytes,
    members: Sequence[Address],
    terms: Terms,
) -> Task:
    """Open a task and its first round.

    Raises:
        DigestMissing, MemberCountInvalid, TermsInvalid, MembersUnordered: As in the contract.
    """
    if NO_BYTES in (manifest_digest, genesis_digest):
        raise DigestMissing
    if not 1 <= len(members) <= MAX_MEMBERS:
        raise MemberCountInvalid(len(members))
    _require_terms(terms, len(members))
    _require_ascending(members)

    state = TaskState(
        coordinator=caller,
        manifest_digest=manifest_digest,
        genesis_digest=genesis_digest,
        terms=terms,
        member_count=len(members),
        phase=Phase.NONE,
        round=0,
        attempt=0,
        deadline=0,
        cohort=0,
        awaited=0,
        committed=0,
        revealed=0,
        absent=0,
        lead_votes=0,
        parent_digest=genesis_digest,
        history_head=first_head(site.chain_id, site.contract, number),
    )
    task = Task(site, number, tuple(members), state)
    task._record(TaskOpened(number, caller, manifest_digest, genesis_digest, task.members, terms))
    task._open_round(now, 1, 0)
    return task


def _require_terms(terms: Terms, member_count: int) -> None:
    ranges = (
        (1, 2**16 - 1),
        (1, 2**24 - 1),
        (1, 2**24 - 1),
        (1, 2**24 - 1),
        (1, BASIS_POINTS),
        (1, member_count),
        (1, terms.cohort_floor),
        (BASIS_POINTS // 2, BASIS_POINTS - 1),
    )
    for position, (value, (low, high)) in enumerate(zip(astuple(terms), ranges, strict=True)):
        if not low <= value <= high:
            raise TermsInvalid(position, value)


def _require_ascending(members: Sequence[Address]) -> None:
    previous = 0
    for member in members:
        if address_number(member) <= previous:
            raise MembersUnordered(member)
        previous = address_number(member)
