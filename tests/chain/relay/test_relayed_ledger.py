"""A ledger whose acts go through a relay: what it returns, when it goes to the contract itself, and what it raises."""

from __future__ import annotations

from typing import Any

import pytest
from doubles import GENESIS, MANIFEST, MODEL, TERMS
from relaying import Town

from chain.accounts import address_of
from chain.errors import (
    AccountUnusable,
    ChainUnreachable,
    NotAwaited,
    PhaseMismatch,
    RelayUnusable,
)
from chain.memory_ledger import MemoryLedger
from chain.relay.ledger import ADVANCE_SECONDS
from chain.relay.outcome import WAITING, Outcome, Status
from chain.types import (
    AggregateAttested,
    MemberRejoined,
    MembersMissed,
    Phase,
    Receipt,
    RevealOpened,
    RoundSkipped,
    UpdateCommitted,
    UpdateRevealed,
)

WRITES = ("commit", "skip", "reveal", "attest", "advance", "rejoin")


class Poor:
    """A member's account without ether: it reads, and can pay for nothing."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        self.tried: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name not in WRITES:
            return getattr(self._ledger, name)

        def unpaid(*_: object) -> Receipt:
            self.tried.append(name)
            raise AccountUnusable(f"account {self._ledger.account} cannot pay")

        return unpaid


def poor(town: Town, member: int) -> Poor:
    return Poor(town.direct(member))


def everybody_else_commits(town: Town) -> None:
    town.submit(town.commit_act(1), town.commit_act(2))


def test_an_act_is_carried_out_without_ether():
    town = Town()
    everybody_else_commits(town)
    direct = poor(town, 0)
    receipt = town.member(0, direct).commit(town.task, 1, town.commitment(0))
    client = address_of(town.signers[0])
    events = [entry.event for entry in receipt.entries]
    assert UpdateCommitted(town.task, 1, client, town.commitment(0)) in events
    assert isinstance(events[-1], RevealOpened)
    assert receipt.gas_used == 0
    assert not direct.tried
    assert town.time.elapsed < 1


def test_every_kind_of_act():
    town = Town()
    members = [town.member(index, poor(town, index)) for index in range(3)]
    town.submit(town.commit_act(1))
    members[0].commit(town.task, 1, town.commitment(0))
    town.let_deadline_pass()
    missed = members[0].advance(town.task)
    assert missed.entries[0].event == MembersMissed(town.task, 1, 0b100)
    assert members[2].rejoin(town.task).entries[0].event == MemberRejoined(
        town.task, members[2].account
    )
    town.submit(town.reveal_act(1))
    revealed = members[0].reveal(town.task, 1, town.opening(0))
    assert UpdateRevealed(town.task, 1, members[0].account, town.opening(0)) in [
        entry.event for entry in revealed.entries
    ]
    town.submit(town.vote_act(1, included=0b011))
    attested = members[0].attest(town.task, 1, MODEL, 0b011)
    assert AggregateAttested(town.task, 1, members[0].account, MODEL, 0b011) in [
        entry.event for entry in attested.entries
    ]
    assert members[0].skip(town.task, 2).entries[0].event == RoundSkipped(
        town.task, 2, members[0].account
    )


def test_reads_are_the_chains():
    town = Town()
    member = town.member(0)
    assert member.look(town.task) == town.ledger.look(town.task)
    assert [*member.history(town.task)] == [*town.ledger.history(town.task)]
    assert member.opening(town.task) == town.ledger.opening(town.task)
    assert (member.task_count(), member.task_state(town.task)) == (1, town.state)
    assert (member.chain_id, member.contract) == (town.ledger.chain_id, town.ledger.contract)
    assert member.account == address_of(town.signers[0])
    assert member.gas_used(bytes(32)) == 0
    assert member.look(town.task).now == town.time.chain()


def test_a_task_is_opened_directly():
    town = Town()
    accounts = [address_of(signer) for signer in town.signers]
    town.member(0).open_task(MANIFEST, GENESIS, accounts, TERMS)
    assert town.ledger.task_count() == 2
    assert not town.desk.asked


# ------------------------------------------------------------------------------ doing without


def waits(submission: object) -> Outcome:
    return WAITING


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5])
def test_it_goes_to_the_contract_after_a_share_of_what_is_left(share: float):
    town = Town()
    town.time.elapsed += 20
    town.desk.tamper = waits
    town.member(0, share=share).commit(town.task, 1, town.commitment(0))
    assert town.happened(UpdateCommitted)
    assert town.time.elapsed == pytest.approx(20 + share * 80)


def test_an_overdue_phase_is_ended_directly_after_some_seconds():
    town = Town()
    town.desk.tamper = waits
    town.let_deadline_pass()
    began = town.time.elapsed
    town.member(0).advance(town.task)
    assert town.happened(MembersMissed)
    assert town.time.elapsed == pytest.approx(began + ADVANCE_SECONDS)


def test_a_refusal_is_not_waited_out():
    town = Town()
    town.desk.tamper = lambda submission: Outcome(Status.REFUSED, reason="not today")
    town.member(0).commit(town.task, 1, town.commitment(0))
    assert town.happened(UpdateCommitted)
    assert town.time.elapsed == 0


def test_a_refusal_is_told_to_who_cannot_pay():
    town = Town()
    town.desk.tamper = lambda submission: Outcome(Status.REFUSED, reason="not today")
    with pytest.raises(RelayUnusable, match=r"refuses the commit: not today; .* cannot pay"):
        town.member(0, poor(town, 0)).commit(town.task, 1, town.commitment(0))


def test_who_cannot_pay_may_try_again():
    """The error is one of those that a node waits out."""
    town = Town()
    town.desk.tamper = waits
    member = town.member(0, poor(town, 0))
    with pytest.raises(ChainUnreachable, match="has not carried out the commit so far"):
        member.commit(town.task, 1, town.commitment(0))
    town.desk.tamper = None
    everybody_else_commits(town)
    member.commit(town.task, 1, town.commitment(0))
    assert town.state.phase is Phase.REVEAL


def test_one_lost_answer_is_no_reason_to_pay():
    town = Town()
    everybody_else_commits(town)
    answers = iter([RelayUnusable("cut"), RelayUnusable("cut")])

    def cut(submission: Any) -> Outcome:
        for error in answers:
            raise error
        return town.relayer.submit(submission)

    town.desk.tamper = cut
    direct = poor(town, 0)
    town.member(0, direct).commit(town.task, 1, town.commitment(0))
    assert not direct.tried


def test_what_the_contract_refuses_is_refused_as_by_any_ledger():
    town = Town()
    member = town.member(0)
    with pytest.raises(PhaseMismatch):
        member.attest(town.task, 1, MODEL, 0b111)
    town.direct(0).commit(town.task, 1, town.commitment(0))
    with pytest.raises(NotAwaited):
        member.commit(town.task, 1, bytes(31) + b"\1")


def test_an_act_of_an_earlier_attempt_is_not_taken_for_todays():
    """The same commitment stands in the log of an aborted attempt."""
    town = Town()
    town.direct(0).commit(town.task, 1, town.commitment(0))
    town.let_deadline_pass()
    town.ledger.advance(town.task)  # One commitment is too few: the attempt is aborted.
    assert town.state.attempt == 1
    town.desk.tamper = waits
    town.member(0).commit(town.task, 1, town.commitment(0))
    assert len(town.happened(UpdateCommitted)) == 2
