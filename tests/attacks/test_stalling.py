"""Keeping everyone else waiting."""

from __future__ import annotations

from dataclasses import replace

import pytest
from doubles import MEMBERS, Clock, Federation, small_manifest
from hostile import (
    ATTACKER,
    HONEST_NODES,
    MODEL,
    TERMS,
    Contract,
    Stage,
    audit_of,
    commit_to,
    goes_on,
    last_final,
    reveal_as_attacker,
    step_honest,
)

from chain.accounts import Signer, address_of
from chain.errors import DeadlineAhead, IncludedInvalid, NotAwaited
from chain.history import draw
from chain.memory_ledger import MemoryLedger
from chain.types import MembersMissed, Phase, RoundAborted, RoundFinalised, RoundOpened
from fl_node.member.next_action import Action


class ByTheRules:
    """The ledger in memory, which keeps the contract's rules (`tests/contracts`), behind the contract's door."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.ledger = MemoryLedger(clock=self.clock)

    def acting_as(self, signer: Signer) -> MemoryLedger:
        return self.ledger.acting_as(address_of(signer))

    def travel(self, seconds: int) -> None:
        self.clock.time += seconds


@pytest.fixture
def stage() -> Stage:
    """A task of three members in memory: whom a phase waits for is the rules' matter, not a chain's."""
    return Stage(ByTheRules())


def play_until(stage: Stage, phase: Phase) -> None:
    """Bring round 1 into a phase, all three taking part."""
    if phase in (Phase.REVEAL, Phase.ATTEST):
        stage.commit(0, 1, 2)
    if phase is Phase.ATTEST:
        stage.reveal(0, 1, 2)


@pytest.mark.parametrize("phase", [Phase.COMMIT, Phase.REVEAL, Phase.ATTEST])
def test_drop_out(stage: Stage, phase: Phase) -> None:
    """3. One member falls silent in any phase: that costs a deadline, and the round is final without it."""
    play_until(stage, phase)
    if phase is Phase.ATTEST:
        stage.attest(0, 1)  # A quorum waits for nobody.
        assert stage.state.round == 2
        return
    act = stage.commit if phase is Phase.COMMIT else stage.reveal
    act(0, 1)
    stage.let_deadline_pass()
    stage.stranger.advance(stage.task)
    if phase is Phase.COMMIT:
        stage.reveal(0, 1)
    stage.attest(0, 1, included=0b011)
    assert (stage.state.round, stage.state.parent_digest) == (2, MODEL)
    assert stage.state.absent == 0b100


@pytest.mark.parametrize("phase", [Phase.COMMIT, Phase.REVEAL, Phase.ATTEST])
def test_drop_out_all_at_once(stage: Stage, phase: Phase) -> None:
    """3. When everyone falls silent, anyone may abort the round, and the next attempt finds all of them present."""
    play_until(stage, phase)
    stage.let_deadline_pass()
    stage.stranger.advance(stage.task)
    aborted = [event for event in stage.events if isinstance(event, RoundAborted)]
    assert [event.phase for event in aborted] == [phase]
    state = stage.state
    assert (state.phase, state.round, state.attempt) == (Phase.COMMIT, 1, 1)
    assert state.cohort == 0b111
    stage.commit(0, 1, 2)
    assert stage.state.phase is Phase.REVEAL


def test_drop_out_for_ever_in_every_round(federation: Federation) -> None:
    """3. Whoever is never there costs one deadline in all: it is not drawn again until it rejoins."""
    start = federation.clock.time
    nodes = [federation.start(member) for member in HONEST_NODES]
    while federation.ledger.task_state(federation.task).phase is not Phase.FINISHED:
        if all(node.step().action is Action.WAIT for node in nodes):
            state = federation.ledger.task_state(federation.task)
            federation.clock.time = state.deadline + 1
    events = [entry.event for entry in federation.ledger.history(federation.task)]
    missed = [event for event in events if isinstance(event, MembersMissed)]
    # The manifest wants two of three: once absences leave two, those two carry on alone.
    assert [event.missed for event in missed] == [0b100]
    assert federation.clock.time - start <= federation.manifest.rounds.commit_window + 1


def test_commit_and_never_publish(federation: Federation, undisturbed: bytes) -> None:
    """3. A reveal whose blob is nowhere is left out; nobody waits for the blob."""
    opening = commit_to(federation, bytes([7]) * 32)
    step_honest(federation, Action.COMMIT)
    reveal_as_attacker(federation, opening)
    step_honest(federation, Action.REVEAL)
    step_honest(federation, Action.ATTEST)
    final = last_final(federation)
    assert (final.included, final.aggregate_digest) == (0b011, undisturbed)
    assert goes_on(federation)
    assert audit_of(federation).verdict == "clean"


def test_disagree_on_the_aggregate(stage: Stage) -> None:
    """4. Three aggregates, no quorum: the round ends by itself, on record, and is opened again."""
    stage.commit(0, 1, 2)
    stage.reveal(0, 1, 2)
    for member in range(3):
        stage.attest(member, digest=bytes([member + 1]) * 32)
    state = stage.state
    assert (state.phase, state.round, state.attempt) == (Phase.COMMIT, 1, 1)
    assert state.parent_digest == state.genesis_digest
    stage.commit(0, 1, 2)
    stage.reveal(0, 1, 2)
    stage.attest(0, 1)
    assert stage.state.round == 2


def test_disagree_and_then_fall_silent(stage: Stage) -> None:
    """4. Two of three disagree and the third is away: a deadline ends that too."""
    stage.commit(0, 1, 2)
    stage.reveal(0, 1, 2)
    stage.attest(0, digest=bytes([1]) * 32)
    stage.attest(1, digest=bytes([2]) * 32)
    stage.let_deadline_pass()
    stage.stranger.advance(stage.task)
    assert (stage.state.phase, stage.state.attempt) == (Phase.COMMIT, 1)


def test_carry_votes_over_into_the_next_attempt(stage: Stage) -> None:
    """4. Votes of an aborted attempt do not count in the next, however often it is tried."""
    for attempt in range(2):
        stage.commit(0, 1, 2)
        stage.reveal(0, 1, 2)
        stage.attest(0, digest=bytes([1]) * 32)
        stage.attest(1, digest=bytes([2]) * 32)
        stage.attest(2, digest=bytes([3]) * 32)
        assert stage.state.attempt == attempt + 1
    assert not [event for event in stage.events if isinstance(event, RoundFinalised)]


def test_attest_to_updates_that_were_never_revealed(stage: Stage) -> None:
    """4. The included set is held against the reveals; a vote that claims more is refused."""
    stage.commit(0, 1, 2)
    stage.reveal(0, 1)
    stage.let_deadline_pass()
    stage.stranger.advance(stage.task)
    for included in (0b111, 0b100, 1 << 95):
        with pytest.raises(IncludedInvalid):
            stage.attest(0, included=included)
    stage.attest(0, 1, included=0b011)
    assert stage.state.round == 2


def test_vote_twice(stage: Stage) -> None:
    """4. One revealer, one vote: not even the same one again makes a quorum."""
    stage.commit(0, 1, 2)
    stage.reveal(0, 1, 2)
    stage.attest(0)
    for digest in (stage.state.genesis_digest, bytes([3]) * 32):
        with pytest.raises(NotAwaited):
            stage.attest(0, digest=digest)


def test_coordinator_walks_away(stage: Stage) -> None:
    """7. The coordinator opened the task and is never seen again; the others and any stranger move it on."""
    stage.commit(1, 2)
    stage.let_deadline_pass()
    stage.stranger.advance(stage.task)
    stage.reveal(1, 2)
    stage.attest(1, 2, included=0b110)
    assert (stage.state.round, stage.state.cohort) == (2, 0b110)
    stage.commit(1, 2)
    stage.reveal(1, 2)
    stage.attest(1, 2, included=0b110)
    assert stage.state.phase is Phase.FINISHED


def test_end_a_phase_before_its_time(stage: Stage) -> None:
    """7. Nobody may cut the others' time short, the coordinator no more than a stranger."""
    for ledger in (stage.members[0], stage.stranger):
        with pytest.raises(DeadlineAhead):
            ledger.advance(stage.task)


def test_open_a_task_that_can_never_end(contract: Contract) -> None:
    """7. Windows are bounded: the longest deadline is 194 days away, and then anyone may end the phase."""
    stage = Stage(contract, replace(TERMS, commit_window=(1 << 24) - 1))
    assert stage.state.deadline - stage.look.now < 195 * 24 * 3600


def test_leave_and_rejoin_over_and_over(federation: Federation) -> None:
    """3. A member that keeps coming back only to vanish costs a deadline each time, and never the task."""
    nodes = [federation.start(member) for member in HONEST_NODES]
    flapping = federation.ledger.acting_as(ATTACKER)
    for _ in range(200):
        state = federation.ledger.task_state(federation.task)
        if state.phase is Phase.FINISHED:
            break
        if state.absent >> MEMBERS.index(ATTACKER) & 1:
            flapping.rejoin(federation.task)
        if all(node.step().action is Action.WAIT for node in nodes):
            federation.clock.time = state.deadline + 1
    assert federation.ledger.task_state(federation.task).phase is Phase.FINISHED
    assert audit_of(federation).verdict == "clean"


def test_a_cohort_is_not_for_the_coordinator_to_choose(stage: Stage) -> None:
    """7. Seed and cohort are on record, and the one follows from the other."""
    opened = next(event for event in stage.events if isinstance(event, RoundOpened))
    assert opened.cohort == draw(opened.seed, 0b111, 3)


def test_a_lone_member_can_finish_what_the_manifest_lets_it(federate) -> None:
    """3. With a floor of one, even a task that all others left comes to its end."""
    federation = federate(
        small_manifest(rounds={"count": 2, "cohort_floor": 1, "min_updates": 1}), name="lone"
    )
    node = federation.start(MEMBERS[0])
    for _ in range(100):
        step = node.step()
        if step.action is Action.FINISHED:
            break
        if step.action is Action.WAIT:
            federation.clock.time = step.state.deadline + 1
    assert federation.ledger.task_state(federation.task).phase is Phase.FINISHED
