"""What a relay takes, what it refuses, and when it posts."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import replace

import pytest
from doubles import MODEL, TERMS
from relaying import Town, forged

from chain.accounts import address_of, dev_account
from chain.acts import gas_for
from chain.errors import AccountUnusable, ChainUnreachable
from chain.relay.desk import MEMBER_REQUESTS
from chain.relay.limits import Caps, Purse
from chain.relay.outcome import WAITING, Outcome, Status
from chain.relay.posting import Posted
from chain.relay.relayer import TooManyRequests
from chain.types import (
    AggregateAttested,
    MemberRejoined,
    MembersMissed,
    Phase,
    RoundSkipped,
    UpdateCommitted,
    UpdateRevealed,
)


def statuses(outcomes: Iterable[Outcome]) -> list[str]:
    return [outcome.status.value for outcome in outcomes]


def test_a_whole_round_takes_three_transactions():
    town = Town()
    assert statuses(town.post(*map(town.commit_act, range(3)))) == ["posted"] * 3
    assert town.state.phase is Phase.REVEAL
    assert statuses(town.post(*map(town.reveal_act, range(3)))) == ["posted"] * 3
    assert town.state.phase is Phase.ATTEST
    assert statuses(town.post(*map(town.vote_act, range(2)))) == ["posted"] * 2
    assert (town.state.round, town.state.parent_digest) == (2, MODEL)
    assert [type(notice) for notice in town.notices] == [Posted] * 3
    posted = [{"commit": 3}, {"reveal": 3}, {"attest": 2}]
    assert [notice.functions for notice in town.notices] == posted
    clients = [address_of(signer) for signer in town.signers]
    for kind, count in ((UpdateCommitted, 3), (UpdateRevealed, 3), (AggregateAttested, 2)):
        assert [event.client for event in town.happened(kind)] == clients[:count]


def test_it_posts_at_once_when_everyone_has_sent():
    town = Town()
    town.submit(town.commit_act(0), town.commit_act(1))
    town.relayer.turn()
    assert not town.happened(UpdateCommitted)
    town.submit(town.signed(2, "skip"))
    town.relayer.turn()
    assert len(town.happened(UpdateCommitted)) == 2
    assert len(town.happened(RoundSkipped)) == 1
    assert town.time.elapsed == 0


def test_a_straggler_is_waited_for_and_no_longer():
    town = Town(wait=10.0)
    act = town.commit_act(0)
    assert town.submit(act) == [WAITING]
    town.time.sleep(9.9)
    assert town.relayer.outcome(act.id) is WAITING
    town.time.sleep(0.2)
    assert town.relayer.outcome(act.id).status is Status.POSTED


def test_it_waits_for_a_share_of_a_short_phase_alone():
    town = Town(terms=replace(TERMS, commit_window=10), wait=10.0)
    act = town.commit_act(0)
    town.submit(act)
    town.time.sleep(2.1)
    assert town.relayer.outcome(act.id).status is Status.POSTED


def test_who_acts_directly_is_not_waited_for():
    town = Town()
    town.submit(town.commit_act(0), town.commit_act(1))
    town.direct(2).commit(town.task, 1, town.commitment(2))
    town.relayer.turn()
    assert town.state.phase is Phase.REVEAL


def test_votes_wait_for_a_quorum_and_not_for_everyone():
    town = Town(members=5, terms=replace(TERMS, cohort_floor=5))
    town.post(*map(town.commit_act, range(5)))
    town.post(*map(town.reveal_act, range(5)))
    votes = [town.vote_act(member, included=0b11111) for member in range(5)]
    town.submit(*votes[:2])
    town.relayer.turn()
    assert not town.happened(AggregateAttested)
    town.submit(votes[2])
    town.relayer.turn()
    assert town.state.round == 2


def test_a_vote_that_comes_after_the_quorum_costs_nothing():
    town = Town()
    town.post(*map(town.commit_act, range(3)))
    town.post(*map(town.reveal_act, range(3)))
    first, second, late = town.post(*map(town.vote_act, range(3)))
    assert statuses([first, second, late]) == ["posted", "posted", "refused"]
    assert len(town.happened(AggregateAttested)) == 2
    assert "the task is at round 2" in late.reason


def test_an_absent_member_comes_back():
    town = Town()
    town.post(town.commit_act(0), town.commit_act(1))
    town.let_deadline_pass()
    town.direct(0).advance(town.task)
    assert town.state.absent == 0b100
    back = town.signed(2, "rejoin")
    assert statuses(town.post(back)) == ["posted"]
    assert town.happened(MemberRejoined)
    assert statuses(town.submit(back)) == ["posted"]
    assert statuses(town.submit(town.signed(1, "rejoin"))) == ["refused"]


def test_it_ends_an_overdue_phase_for_who_asks():
    town = Town()
    assert "s left" in town.submit(town.signed(0, "advance"))[0].reason
    town.let_deadline_pass()
    asked = [town.signed(member, "advance") for member in range(3)]
    assert statuses(town.post(*asked)) == ["posted"] * 3
    assert len(town.happened(MembersMissed)) == 1


def test_the_same_act_is_taken_once():
    town = Town()
    act = town.commit_act(0)
    assert town.submit(act, act, act) == [WAITING] * 3
    town.post(act, town.commit_act(1))
    assert statuses(town.submit(act, act)) == ["posted"] * 2
    town.time.sleep(60)
    assert len(town.happened(UpdateCommitted)) == 2


def test_the_newer_act_of_a_member_counts():
    town = Town()
    older, newer = town.signed(0, "commit", MODEL), town.commit_act(0)
    town.submit(older)
    assert statuses(town.post(newer)) == ["posted"]
    assert town.happened(UpdateCommitted)[0].commitment == town.commitment(0)
    assert "another act" in town.relayer.outcome(older.id).reason


def test_an_act_that_a_reorganisation_dropped_is_posted_again():
    town = Town()
    before = copy.deepcopy(town.ledger._chain.tasks[0])
    act = town.commit_act(0)
    assert statuses(town.post(act)) == ["posted"]
    town.ledger._chain.tasks[0] = before
    assert town.submit(act) == [WAITING]
    town.time.sleep(20)
    assert len(town.happened(UpdateCommitted)) == 2


# ------------------------------------------------------------------------------ refused


def test_another_task_is_not_served():
    town = Town()
    assert "serves task 1, not task 7" in town.submit(town.commit_act(0, task=7))[0].reason


def test_who_is_no_member_is_refused():
    town = Town()
    town.signers[0] = dev_account(6, 0)
    assert "no member of task 1" in town.submit(town.commit_act(0))[0].reason


@pytest.mark.parametrize(
    "changes",
    [{"r": bytes(32)}, {"vs": bytes(32)}, {"r": b"\xff" * 32}, {"vs": b"\xff" * 32}],
    ids=["no r", "no s", "r too large", "s too large"],
)
def test_a_broken_signature_is_refused(changes: dict[str, bytes]):
    town = Town()
    assert "the signature is not" in town.submit(forged(town.commit_act(0), **changes))[0].reason


def test_a_reveal_without_a_signature_is_refused():
    """The contract would take it, but strangers could make the relay try thousands."""
    town = Town()
    town.post(*map(town.commit_act, range(3)))
    bare = forged(town.reveal_act(0), r=bytes(32), vs=bytes(32))
    assert "the signature is not" in town.submit(bare)[0].reason


def test_an_act_of_another_phase_is_refused():
    town = Town()
    assert "the task is in COMMIT" in town.submit(town.vote_act(0))[0].reason


def test_an_act_after_the_deadline_is_refused():
    town = Town()
    town.let_deadline_pass()
    assert "the phase is over" in town.submit(town.commit_act(0))[0].reason


def test_an_act_that_the_contract_would_refuse_is_never_paid_for():
    town = Town()
    (outcome,) = town.post(town.signed(0, "commit", bytes(32)))
    assert outcome.reason == "the contract would refuse it"
    assert not town.notices


def test_a_member_that_asks_too_often_is_sent_away():
    town = Town()
    act, (most, rate) = town.commit_act(0), MEMBER_REQUESTS
    town.submit(*[act] * int(most))
    with pytest.raises(TooManyRequests):
        town.submit(act)
    town.submit(town.commit_act(1))  # Another member's requests are its own.
    town.time.elapsed += 1 / rate
    assert town.submit(act) == [WAITING]


# ------------------------------------------------------------------------------ money and faults


def test_gas_for_a_day_is_a_limit():
    town = Town(purse=Purse(Caps(day=gas_for(1) - 1)))
    (outcome,) = town.post(town.commit_act(0))
    assert outcome.status is Status.REFUSED
    assert "for a day" in outcome.reason
    assert not town.happened(UpdateCommitted)


def test_gas_for_a_task_is_a_limit():
    town = Town(purse=Purse(Caps(task=10)))
    assert "for task 1" in town.post(town.commit_act(0))[0].reason


def test_a_relay_that_cannot_pay_says_so(monkeypatch: pytest.MonkeyPatch):
    town = Town()

    def broke(*_: object) -> None:
        raise AccountUnusable("the account has no ether")

    monkeypatch.setattr(town.ledger, "relay", broke)
    assert "no ether" in town.post(town.commit_act(0))[0].reason
    assert town.relayer.health().gas_today == 0


def test_a_chain_that_is_away_is_waited_for(monkeypatch: pytest.MonkeyPatch):
    town = Town()

    def away(*_: object) -> None:
        raise ChainUnreachable("no chain answers")

    with monkeypatch.context() as patch:
        patch.setattr(town.ledger, "relay", away)
        assert town.post(town.commit_act(0)) == [WAITING]
    town.time.sleep(5)
    assert town.happened(UpdateCommitted)
    # Nobody knows whether the first transaction is in a block, so its gas is held to be spent.
    assert town.relayer.health().gas_today > 0


def test_the_end_of_a_relay_posts_what_is_at_hand():
    town = Town()
    town.submit(town.commit_act(0))
    town.relayer.turn()
    assert not town.happened(UpdateCommitted)
    town.relayer.post_all()
    assert town.happened(UpdateCommitted)
