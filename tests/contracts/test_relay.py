"""Acts that members sign and others send: the same checks, events and effects as direct calls."""

from __future__ import annotations

from dataclasses import astuple

import pytest
from evm_ledger import EvmChain, bytes_of, event_of
from stage import AGGREGATE, Stage, events, opening_of

from chain.errors import TaskUnknown
from chain.history import fold
from chain.types import (
    AttestOpened,
    MemberRejoined,
    Phase,
    RevealOpened,
    RoundFinalised,
    RoundOpened,
    RoundSkipped,
    UpdateCommitted,
    UpdateRevealed,
)

ALL = range(5)


def test_what_members_signed_is_done_as_if_they_had_sent_it(stage: Stage) -> None:
    stage.open()
    *committed, opened = events(stage.relay(*stage.commitments(*ALL)))
    commitment = stage.commitment
    assert committed == [UpdateCommitted(1, 1, stage.members[i], commitment(i)) for i in ALL]
    assert opened == RevealOpened(1, 1, 0b11111, stage.state.deadline)
    *revealed, opened = events(stage.relay(*stage.reveals(*ALL)))
    assert revealed == [UpdateRevealed(1, 1, stage.members[i], opening_of(i)) for i in ALL]
    assert opened == AttestOpened(1, 1, 0b11111, 0b11111, stage.state.deadline)
    *_, final, opened = events(stage.relay(*stage.votes(0, 1, 2, 3)))
    assert final == RoundFinalised(1, 1, AGGREGATE, 0b1)
    assert isinstance(opened, RoundOpened)


def test_a_member_declines_and_comes_back_by_relay(stage: Stage) -> None:
    stage.open(quorum=5_000)
    stage.relay(*stage.commitments(0, 1, 2))
    assert events(stage.relay(stage.sign(3, "skip"))) == [RoundSkipped(1, 1, stage.members[3])]
    stage.miss()
    assert stage.state.absent == 0b10000
    came_back = events(stage.relay(stage.sign(4, "rejoin")))
    assert came_back == [MemberRejoined(1, stage.members[4])]
    assert stage.state.absent == 0


def test_acts_are_carried_out_in_order_also_across_phases(stage: Stage) -> None:
    stage.open()
    acts = [*stage.commitments(*ALL), *stage.reveals(*ALL), *stage.votes(*ALL)]
    stage.relay(*acts)
    assert (stage.state.round, stage.state.parent_digest) == (2, AGGREGATE)


def test_a_relayer_that_turns_the_order_round_gets_nothing_else_done(stage: Stage) -> None:
    stage.open()
    acts = [*stage.votes(*ALL), *stage.reveals(*ALL), *stage.commitments(*ALL)]
    assert len(events(stage.relay(*acts))) == 6  # the commitments, and the opening
    assert stage.state.phase is Phase.REVEAL


def test_what_is_refused_is_left_out_and_not_the_others(stage: Stage) -> None:
    stage.open()
    first, second, third = stage.commitments(0, 1, 2)
    acts = [first, first, stage.sign(3, "commit", bytes(32)), second, *stage.votes(4), third]
    assert len(events(stage.relay(*acts))) == 3
    assert stage.state.committed == 0b00111


def test_the_answer_says_what_was_carried_out(contract: Stage) -> None:
    contract.open()
    first, second = contract.commitments(0, 1)
    acts = [astuple(act) for act in (first, first, second)]
    assert contract.ledger.view("relay", contract.task, acts) == 0b101


def test_an_empty_batch_does_nothing(stage: Stage) -> None:
    stage.open()
    before = stage.state
    assert events(stage.relay()) == []
    assert stage.state == before


def test_a_task_that_was_never_opened(stage: Stage) -> None:
    stage.open()
    (act,) = stage.commitments(0)
    with pytest.raises(TaskUnknown):
        stage.stranger.relay(2, [act])


def test_relayed_and_direct_at_once_count_once(stage: Stage) -> None:
    stage.open()
    acts = stage.commitments(0, 1)
    stage.commit(0)
    assert len(events(stage.relay(*acts))) == 1
    assert stage.state.committed == 0b00011


@pytest.mark.parametrize("share", [0.2, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99])
def test_an_act_that_is_starved_of_gas_is_left_out_whole(
    contract: Stage, chain: EvmChain, share: float
) -> None:
    """Whatever gas a relayer gives, an act is done or not, never by half; and later it can be done."""
    contract.open()
    acts = contract.commitments(*ALL)
    head, sender = contract.state.history_head, contract.accounts[5]
    words = [contract.task, [astuple(act) for act in acts]]
    data = chain.contract.encode_abi("relay", words)
    to = bytes_of(contract.ledger.contract)
    receipt, _, _ = chain.send(sender, data, to, gas=int(share * 300_000))
    for log in receipt.logs:
        head = fold(head, event_of(log))
    assert contract.state.history_head == head
    if len(receipt.logs) < 6:
        contract.relay(*acts)
    assert contract.state.phase is Phase.REVEAL
