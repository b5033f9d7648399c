"""The protocol, round by round: what the contract and its model both do."""

from __future__ import annotations

import pytest
from stage import AGGREGATE, GENESIS, MANIFEST, OTHER, Stage, events, opening_of

from chain.history import cohort_seed, draw
from chain.types import (
    AbsencesForgiven,
    AggregateAttested,
    AttestOpened,
    MemberRejoined,
    MembersMissed,
    Phase,
    RevealOpened,
    RoundAborted,
    RoundFinalised,
    RoundOpened,
    RoundSkipped,
    TaskFinished,
    TaskOpened,
    UpdateCommitted,
    UpdateRevealed,
)

ALL = range(5)


def names(receipt) -> list[str]:
    return [type(event).__name__ for event in events(receipt)]


def test_opening_a_task_opens_its_first_round_from_the_genesis(stage: Stage) -> None:
    opened, first = events(stage.open())
    assert opened == TaskOpened(
        1, stage.accounts[0], MANIFEST, GENESIS, tuple(stage.members), stage.state.terms
    )
    assert isinstance(first, RoundOpened)
    assert (first.round, first.attempt, first.parent_digest) == (1, 0, GENESIS)
    assert first.cohort == 0b11111
    assert stage.state.phase == Phase.COMMIT
    assert stage.state.deadline == first.deadline


def test_the_last_commitment_opens_the_reveal(stage: Stage) -> None:
    stage.open()
    assert events(stage.commit(0)) == [UpdateCommitted(1, 1, stage.members[0], stage.commitment(0))]
    committed, opened = events(stage.commit(1, 2, 3, 4))
    assert isinstance(committed, UpdateCommitted)
    assert opened == RevealOpened(1, 1, 0b11111, stage.state.deadline)
    assert (stage.state.committed, stage.state.revealed) == (0b11111, 0)
    assert stage.state.awaited == 0b11111


def test_the_last_reveal_opens_the_attestation(stage: Stage) -> None:
    stage.open()
    stage.commit(*ALL)
    revealed, opened = events(stage.reveal(*ALL))
    assert revealed == UpdateRevealed(1, 1, stage.members[4], opening_of(4))
    assert opened == AttestOpened(1, 1, 0b11111, 0b11111, stage.state.deadline)
    assert (stage.state.revealed, stage.state.awaited) == (0b11111, 0b11111)


def test_a_quorum_finalises_at_once_and_opens_the_next_round(stage: Stage) -> None:
    stage.open()
    stage.commit(*ALL)
    stage.reveal(*ALL)
    assert names(stage.attest(0, 1, 2, included=0b111)) == ["AggregateAttested"]
    assert stage.state.lead_votes == 3
    attested, final, opened = events(stage.attest(3, included=0b111))
    assert attested == AggregateAttested(1, 1, stage.members[3], AGGREGATE, 0b111)
    assert final == RoundFinalised(1, 1, AGGREGATE, 0b111)
    assert isinstance(opened, RoundOpened)
    assert (opened.round, opened.parent_digest) == (2, AGGREGATE)
    assert stage.state.parent_digest == AGGREGATE


@pytest.mark.parametrize(("quorum", "votes"), [(5_000, 3), (6_000, 4), (7_999, 4), (9_999, 5)])
def test_more_than_the_quorums_share_must_agree(stage: Stage, quorum: int, votes: int) -> None:
    stage.open(quorum=quorum)
    stage.commit(*ALL)
    stage.reveal(*ALL)
    stage.attest(*range(votes - 1))
    assert stage.state.phase == Phase.ATTEST
    assert "RoundFinalised" in names(stage.attest(votes - 1))


def test_the_last_round_finishes_the_task(stage: Stage) -> None:
    stage.open(rounds=2)
    stage.final_round()
    assert events(stage.final_round())[-1] == TaskFinished(1, AGGREGATE)
    state = stage.state
    assert (state.phase, state.round, state.awaited, state.deadline) == (Phase.FINISHED, 2, 0, 0)
    assert (state.committed, state.revealed) == (0, 0)
    assert state.parent_digest == AGGREGATE


def test_nobody_waits_for_who_declined(stage: Stage) -> None:
    stage.open()
    assert events(stage.skip(0)) == [RoundSkipped(1, 1, stage.members[0])]
    stage.commit(1, 2, 3)
    assert names(stage.skip(4)) == ["RoundSkipped", "RevealOpened"]
    assert stage.state.awaited == 0b01110
    assert stage.state.absent == 0


def test_a_round_that_everyone_declines_is_final_with_the_parent(stage: Stage) -> None:
    stage.open()
    _, final, opened = events(stage.skip(*ALL))
    assert final == RoundFinalised(1, 1, GENESIS, 0)
    assert isinstance(opened, RoundOpened)
    assert (opened.round, opened.parent_digest) == (2, GENESIS)


def test_the_parent_is_the_last_rounds_model_and_not_the_first(stage: Stage) -> None:
    stage.open()
    stage.final_round()
    final = events(stage.skip(*ALL))[1]
    assert final == RoundFinalised(1, 2, AGGREGATE, 0)


def test_too_few_commitments_abort_the_round(stage: Stage) -> None:
    stage.open()
    stage.commit(0)
    _, aborted, opened = events(stage.skip(1, 2, 3, 4))
    assert aborted == RoundAborted(1, 1, 0, Phase.COMMIT)
    assert isinstance(opened, RoundOpened)
    assert (opened.round, opened.attempt, opened.parent_digest) == (1, 1, GENESIS)


def test_the_silent_are_absent_and_the_round_goes_on(stage: Stage) -> None:
    stage.open(quorum=5_000)
    stage.commit(0, 1, 2)
    missed, opened = events(stage.miss())
    assert missed == MembersMissed(1, 1, 0b11000)
    assert opened == RevealOpened(1, 1, 0b00111, stage.state.deadline)
    assert stage.state.absent == 0b11000


def test_a_cohort_is_drawn_from_the_present(stage: Stage) -> None:
    stage.open(quorum=5_000)
    stage.commit(0, 1, 2)
    stage.miss()
    stage.reveal(0, 1, 2)
    stage.attest(0, 1, 2)
    assert stage.state.round == 2
    assert stage.state.cohort == 0b00111


def test_a_member_who_commits_and_never_reveals_is_left_out(stage: Stage) -> None:
    stage.open()
    stage.commit(*ALL)
    stage.reveal(0, 1, 2, 3)
    opened = events(stage.miss())[1]
    assert opened == AttestOpened(1, 1, 0b01111, 0b01111, stage.state.deadline)


def test_too_few_reveals_abort_the_round(stage: Stage) -> None:
    stage.open()
    stage.commit(0, 1, 2)
    stage.skip(3, 4)
    stage.reveal(0)
    missed, aborted, opened = events(stage.miss())
    assert missed == MembersMissed(1, 1, 0b00110)
    assert aborted == RoundAborted(1, 1, 0, Phase.REVEAL)
    assert isinstance(opened, RoundOpened)
    assert opened.cohort == 0b11001


def test_absences_are_forgiven_when_too_few_are_present(stage: Stage) -> None:
    stage.open()
    stage.commit(0)
    missed, aborted, forgiven, opened = events(stage.miss())
    assert missed == MembersMissed(1, 1, 0b11110)
    assert aborted == RoundAborted(1, 1, 0, Phase.COMMIT)
    assert forgiven == AbsencesForgiven(1, 0b11110)
    assert isinstance(opened, RoundOpened)
    assert opened.cohort == 0b11111
    assert stage.state.absent == 0


def test_disagreement_aborts_the_round_and_it_is_tried_again(stage: Stage) -> None:
    stage.open()
    stage.commit(*ALL)
    stage.reveal(*ALL)
    stage.attest(0, 1)
    stage.attest(2, 3, digest=OTHER)
    _, aborted, opened = events(stage.attest(4, included=0b11))
    assert aborted == RoundAborted(1, 1, 0, Phase.ATTEST)
    assert isinstance(opened, RoundOpened)
    assert (opened.round, opened.attempt, opened.parent_digest) == (1, 1, GENESIS)


def test_a_pair_that_was_not_attested_first_can_win(stage: Stage) -> None:
    stage.open()
    stage.commit(*ALL)
    stage.reveal(*ALL)
    stage.attest(0)
    events_of_last = events(stage.attest(1, 2, 3, 4, digest=OTHER))
    assert events_of_last[1] == RoundFinalised(1, 1, OTHER, 0b1)


def test_the_votes_that_show_are_those_for_the_pair_attested_first(stage: Stage) -> None:
    stage.open()
    stage.commit(*ALL)
    stage.reveal(*ALL)
    shown = []
    for member, digest in enumerate([AGGREGATE, OTHER, OTHER, AGGREGATE]):
        stage.attest(member, digest=digest)
        shown.append(stage.state.lead_votes)
    assert shown == [1, 1, 1, 2]


def test_no_votes_show_in_another_attempt_round_or_after_the_last(stage: Stage) -> None:
    stage.open(rounds=2)
    stage.commit(*ALL)
    stage.reveal(*ALL)
    stage.attest(0)
    stage.miss()
    assert (stage.state.attempt, stage.state.lead_votes) == (1, 0)
    stage.final_round()
    assert (stage.state.round, stage.state.attempt, stage.state.lead_votes) == (2, 0, 0)
    stage.final_round()
    assert (stage.state.phase, stage.state.lead_votes) == (Phase.FINISHED, 0)


def test_votes_of_an_aborted_attempt_do_not_count(stage: Stage) -> None:
    stage.open(quorum=9_999)
    stage.commit(*ALL)
    stage.reveal(*ALL)
    stage.attest(0)
    stage.attest(1, 2, digest=OTHER)
    stage.miss()
    stage.commit(0, 1, 2)
    stage.reveal(0, 1, 2)
    stage.attest(0)
    stage.attest(1, digest=OTHER)  # the third vote for this pair, and the first of this attempt
    assert (stage.state.attempt, stage.state.phase) == (1, Phase.ATTEST)


def test_members_who_do_not_attest_in_time_abort_the_round(stage: Stage) -> None:
    stage.open()
    stage.commit(*ALL)
    stage.reveal(*ALL)
    stage.attest(0, 1, 2)
    missed, aborted, opened = events(stage.miss())
    assert missed == MembersMissed(1, 1, 0b11000)
    assert aborted == RoundAborted(1, 1, 0, Phase.ATTEST)
    assert isinstance(opened, RoundOpened)
    assert opened.cohort == 0b00111


def test_an_absent_member_comes_back_with_the_next_draw(stage: Stage) -> None:
    stage.open(quorum=5_000)
    stage.commit(0, 1, 2)
    stage.miss()
    stage.reveal(0, 1, 2)
    assert events(stage.member(4).rejoin(1)) == [MemberRejoined(1, stage.members[4])]
    assert stage.state.awaited == 0b00111
    stage.attest(0, 1, 2)
    assert stage.state.cohort == 0b10111


def test_who_comes_back_before_the_reveals_are_closed_may_attest(stage: Stage) -> None:
    stage.open(quorum=5_000)
    stage.commit(0, 1, 2)
    stage.miss()
    stage.member(4).rejoin(1)
    opened = events(stage.reveal(0, 1, 2))[1]
    assert opened == AttestOpened(1, 1, 0b00111, 0b10111, stage.state.deadline)
    assert names(stage.attest(4)) == ["AggregateAttested"]


def test_who_declined_may_attest(stage: Stage) -> None:
    stage.open()
    stage.commit(0, 1)
    stage.skip(2, 3, 4)
    opened = events(stage.reveal(0, 1))[1]
    assert opened == AttestOpened(1, 1, 0b00011, 0b11111, stage.state.deadline)
    assert names(stage.attest(0, 1, 2)) == ["AggregateAttested"]
    assert "RoundFinalised" in names(stage.attest(4))


def test_the_quorum_counts_who_was_silent(stage: Stage) -> None:
    stage.open(quorum=5_000)
    stage.commit(*ALL)
    stage.reveal(0, 1, 2, 3)
    assert names(stage.miss()) == ["MembersMissed", "AttestOpened"]
    assert names(stage.attest(0, 1)) == ["AggregateAttested"]  # two of the four that are left
    assert "RoundFinalised" in names(stage.attest(2))


@pytest.mark.parametrize("phase", [Phase.COMMIT, Phase.REVEAL])
def test_a_round_ends_when_silence_leaves_fewer_than_a_quorum(stage: Stage, phase: Phase) -> None:
    stage.open(quorum=5_000)
    if phase == Phase.REVEAL:
        stage.commit(*ALL)
        stage.reveal(0, 1)
    else:
        stage.commit(0, 1)
    missed, aborted, *_ = events(stage.miss())
    assert missed == MembersMissed(1, 1, 0b11100)
    assert aborted == RoundAborted(1, 1, 0, phase)


def test_the_seed_follows_from_parent_task_round_and_attempt(stage: Stage) -> None:
    stage.open()
    openings = [events(stage.open(cohort_fraction=1))[1]]  # the second task
    openings.append(events(stage.miss())[-1])
    openings.append(events(stage.final_round())[-1])
    expected = [(GENESIS, 2, 1, 0), (GENESIS, 2, 1, 1), (AGGREGATE, 2, 2, 0)]
    for opened, which in zip(openings, expected, strict=True):
        seed = cohort_seed(*which)
        assert (opened.seed, opened.cohort) == (seed, draw(seed, 0b11111, 3))


@pytest.mark.parametrize("fraction", [8_000, 9_999])
def test_a_fraction_of_the_present_is_drawn_rounded_down(stage: Stage, fraction: int) -> None:
    stage.open(cohort_fraction=fraction)
    assert stage.state.cohort.bit_count() == 4


@pytest.mark.parametrize("fraction", [1, 4_000])  # none and two of five
def test_the_floor_holds_however_small_the_fraction(stage: Stage, fraction: int) -> None:
    stage.open(cohort_fraction=fraction)
    assert stage.state.cohort.bit_count() == 3


def test_tasks_do_not_touch_one_another(stage: Stage) -> None:
    stage.open()
    stage.open(rounds=1)
    before = stage.ledger.task_state(1)
    stage.final_round()
    assert stage.state.phase == Phase.FINISHED
    assert stage.ledger.task_state(1) == before
    assert stage.ledger.task_count() == 2


def test_all_updates_may_be_left_out(stage: Stage) -> None:
    stage.open()
    stage.commit(*ALL)
    stage.reveal(*ALL)
    final = events(stage.attest(0, 1, 2, 3, digest=GENESIS, included=0))[1]
    assert final == RoundFinalised(1, 1, GENESIS, 0)


def test_an_act_is_in_time_up_to_the_deadline(stage: Stage) -> None:
    stage.open()
    stage.travel(stage.state.deadline)
    assert names(stage.commit(0)) == ["UpdateCommitted"]


def test_one_member_can_run_a_task_alone(stage: Stage) -> None:
    stage.accounts = [stage.accounts[0]]
    stage.open(rounds=1, cohort_floor=1, min_updates=1)
    assert events(stage.final_round())[-1] == TaskFinished(1, AGGREGATE)
