"""Every error of the interface: what raises it, on the contract and on its model."""

from __future__ import annotations

from dataclasses import replace

import pytest
from stage import AGGREGATE, GENESIS, MANIFEST, TERMS, Stage, opening_of

from chain import errors
from chain.errors import CallRejected
from chain.types import Address, Phase

ALL = range(5)
ZERO = bytes(32)


def refused(error: CallRejected, call, *arguments) -> None:
    with pytest.raises(type(error)) as caught:
        call(*arguments)
    assert caught.value == error


@pytest.mark.parametrize("digests", [(ZERO, GENESIS), (MANIFEST, ZERO)])
def test_digest_missing(stage: Stage, digests: tuple[bytes, bytes]) -> None:
    refused(errors.DigestMissing(), stage.ledger.open_task, *digests, stage.members, TERMS)


@pytest.mark.parametrize("count", [0, 97])
def test_member_count_invalid(stage: Stage, count: int) -> None:
    members = [Address(f"0x{i:040}") for i in range(1, count + 1)]
    open_task = stage.ledger.open_task
    refused(errors.MemberCountInvalid(count), open_task, MANIFEST, GENESIS, members, TERMS)


def test_ninety_six_members_are_allowed(stage: Stage) -> None:
    members = [Address(f"0x{i:040}") for i in range(1, 97)]
    terms = replace(TERMS, cohort_fraction=5_000)
    stage.ledger.open_task(MANIFEST, GENESIS, members, terms)
    assert stage.ledger.task_state(1).cohort.bit_count() == 48


def test_members_unordered(stage: Stage) -> None:
    first, second = stage.accounts[:2]
    zero = Address("0x" + "0" * 40)
    terms = replace(TERMS, cohort_floor=2)
    for members, wrong in (
        ([second, first], first),
        ([first, first], first),
        ([zero, first], zero),
    ):
        open_task = stage.ledger.open_task
        refused(errors.MembersUnordered(wrong), open_task, MANIFEST, GENESIS, members, terms)


@pytest.mark.parametrize(
    ("position", "field", "value"),
    [
        (0, "rounds", 0),
        (1, "commit_window", 0),
        (2, "reveal_window", 0),
        (3, "attest_window", 0),
        (4, "cohort_fraction", 0),
        (4, "cohort_fraction", 10_001),
        (5, "cohort_floor", 0),
        (5, "cohort_floor", 6),
        (6, "min_updates", 0),
        (6, "min_updates", 4),
        (7, "quorum", 4_999),
        (7, "quorum", 10_000),
    ],
)
def test_terms_invalid(stage: Stage, position: int, field: str, value: int) -> None:
    with pytest.raises(errors.TermsInvalid) as caught:
        stage.open(**{field: value})
    assert caught.value == errors.TermsInvalid(position, value)


def test_task_unknown(stage: Stage) -> None:
    member, error = stage.member(0), errors.TaskUnknown(1)
    refused(error, member.commit, 1, 1, AGGREGATE)
    refused(error, member.skip, 1, 1)
    refused(error, member.reveal, 1, 1, opening_of(0))
    refused(error, member.attest, 1, 1, AGGREGATE, 0)
    refused(error, member.advance, 1)
    refused(error, member.rejoin, 1)
    refused(error, member.task_state, 1)


def test_member_unknown(stage: Stage) -> None:
    stage.open()
    stranger, error = stage.stranger, errors.MemberUnknown(1, stage.accounts[5])
    refused(error, stranger.commit, 1, 1, AGGREGATE)
    refused(error, stranger.skip, 1, 1)
    refused(error, stranger.reveal, 1, 1, opening_of(0))
    refused(error, stranger.attest, 1, 1, AGGREGATE, 0)
    refused(error, stranger.rejoin, 1)


def test_phase_mismatch(stage: Stage) -> None:
    stage.open(rounds=1)
    member, mismatch = stage.member(0), errors.PhaseMismatch
    refused(mismatch(Phase.REVEAL, Phase.COMMIT), member.reveal, 1, 1, opening_of(0))
    refused(mismatch(Phase.ATTEST, Phase.COMMIT), member.attest, 1, 1, AGGREGATE, 0)
    stage.commit(*ALL)
    refused(mismatch(Phase.COMMIT, Phase.REVEAL), member.commit, 1, 1, AGGREGATE)
    refused(mismatch(Phase.COMMIT, Phase.REVEAL), member.skip, 1, 1)


def test_nothing_moves_once_a_task_is_finished(stage: Stage) -> None:
    stage.open(rounds=1)
    stage.final_round()
    error = errors.PhaseMismatch(Phase.COMMIT, Phase.FINISHED)
    refused(error, stage.member(0).commit, 1, 1, AGGREGATE)
    refused(error, stage.member(0).rejoin, 1)
    refused(error, stage.stranger.advance, 1)


def test_round_mismatch(stage: Stage) -> None:
    stage.open()
    refused(errors.RoundMismatch(2, 1), stage.member(0).commit, 1, 2, AGGREGATE)
    refused(errors.RoundMismatch(0, 1), stage.member(0).skip, 1, 0)


def test_who_was_not_drawn_is_not_awaited(stage: Stage) -> None:
    stage.open(cohort_fraction=1)
    out = next(i for i in ALL if not stage.state.cohort >> i & 1)
    error = errors.NotAwaited(stage.members[out])
    refused(error, stage.member(out).commit, 1, 1, AGGREGATE)


def test_who_declined_cannot_commit(stage: Stage) -> None:
    stage.open()
    stage.skip(0)
    error = errors.NotAwaited(stage.members[0])
    refused(error, stage.member(0).commit, 1, 1, AGGREGATE)
    refused(error, stage.member(0).skip, 1, 1)


def test_who_did_not_commit_cannot_reveal(stage: Stage) -> None:
    stage.open()
    stage.commit(0, 1)
    stage.skip(2, 3, 4)
    refused(errors.NotAwaited(stage.members[4]), stage.member(4).reveal, 1, 1, opening_of(4))


def test_nobody_acts_twice_in_a_phase(stage: Stage) -> None:
    stage.open()
    error = errors.NotAwaited(stage.members[0])
    stage.commit(0)
    refused(error, stage.member(0).commit, 1, 1, AGGREGATE)
    refused(error, stage.member(0).skip, 1, 1)
    stage.commit(1, 2, 3, 4)
    stage.reveal(0)
    refused(error, stage.member(0).reveal, 1, 1, opening_of(0))
    stage.reveal(1, 2, 3, 4)
    stage.attest(0)
    refused(error, stage.member(0).attest, 1, 1, AGGREGATE, 0b1)


def test_deadline_passed(stage: Stage) -> None:
    stage.open()
    deadline = stage.state.deadline
    stage.travel(deadline + 1)
    refused(errors.DeadlinePassed(deadline), stage.member(0).commit, 1, 1, AGGREGATE)


def test_deadline_ahead(stage: Stage) -> None:
    stage.open()
    deadline = stage.state.deadline
    stage.travel(deadline)
    refused(errors.DeadlineAhead(deadline), stage.stranger.advance, 1)


def test_deadline_invalid(contract: Stage) -> None:
    contract.travel(2**32 - 100)
    refused(
        errors.DeadlineInvalid(2**32), contract.ledger.open_task, MANIFEST, GENESIS,
        contract.members, TERMS,
    )  # fmt: skip
    contract.open(commit_window=98)


def test_who_missed_a_phase_and_comes_back_while_others_attest_is_not_awaited(stage: Stage) -> None:
    stage.open(quorum=5_000)
    stage.commit(0, 1, 2)
    stage.miss()
    stage.reveal(0, 1, 2)
    stage.member(4).rejoin(1)
    error = errors.NotAwaited(stage.members[4])
    refused(error, stage.member(4).attest, 1, 1, AGGREGATE, 0b1)


def test_commitment_missing(stage: Stage) -> None:
    stage.open()
    refused(errors.CommitmentMissing(), stage.member(0).commit, 1, 1, ZERO)


def test_commitment_mismatch(stage: Stage) -> None:
    stage.open()
    stage.commit(*ALL)
    other = replace(opening_of(0), num_examples=10**9)
    error = errors.CommitmentMismatch(stage.commitment(0), stage.commitment(0, num_examples=10**9))
    refused(error, stage.member(0).reveal, 1, 1, other)


def test_examples_missing(stage: Stage) -> None:
    stage.open()
    stage.commit(*ALL)
    empty = replace(opening_of(0), num_examples=0)
    refused(errors.ExamplesMissing(), stage.member(0).reveal, 1, 1, empty)


def test_included_invalid(stage: Stage) -> None:
    stage.open()
    stage.commit(0, 1, 2)
    stage.skip(3, 4)
    stage.reveal(0, 1, 2)
    error = errors.IncludedInvalid(0b01001, 0b00111)
    refused(error, stage.member(0).attest, 1, 1, AGGREGATE, 0b01001)


@pytest.mark.parametrize(("digest", "included"), [(AGGREGATE, 0), (ZERO, 0), (ZERO, 0b1)])
def test_aggregate_invalid(stage: Stage, digest: bytes, included: int) -> None:
    stage.open()
    stage.commit(*ALL)
    stage.reveal(*ALL)
    error = errors.AggregateInvalid(digest)
    refused(error, stage.member(0).attest, 1, 1, digest, included)


def test_not_absent(stage: Stage) -> None:
    stage.open()
    refused(errors.NotAbsent(stage.members[0]), stage.member(0).rejoin, 1)


def test_a_refused_call_changes_nothing(stage: Stage) -> None:
    stage.open()
    stage.commit(0)
    before = stage.state
    with pytest.raises(CallRejected):
        stage.commit(0)
    assert stage.state == before
