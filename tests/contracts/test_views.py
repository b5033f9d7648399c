"""What anyone may ask the contract, against the same arithmetic in Python."""

from __future__ import annotations

from dataclasses import astuple

import pytest
from evm_ledger import EvmChain, EvmLedger
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stage import Stage, opening_of

from chain import history
from chain.errors import MemberUnknown, TaskUnknown
from chain.types import Reveal

DIGEST = st.binary(min_size=32, max_size=32)
INT64 = st.integers(-(2**63), 2**63 - 1)
FEW = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def ledger(deployed: EvmChain) -> EvmLedger:
    return EvmLedger(deployed, deployed.accounts[0])


@FEW
@given(seed=DIGEST, candidates=st.integers(0, 2**96 - 1), size=st.integers(0, 96))
def test_draw(ledger: EvmLedger, seed: bytes, candidates: int, size: int) -> None:
    drawn = ledger.view("draw", seed, candidates, size)
    assert drawn == history.draw(seed, candidates, size)
    assert drawn & ~candidates == 0
    assert drawn.bit_count() == min(size, candidates.bit_count())


@FEW
@given(
    task=st.integers(0, 2**256 - 1),
    round=st.integers(0, 2**16 - 1),
    opening=st.builds(Reveal, DIGEST, st.integers(0, 2**64 - 1), INT64, INT64, DIGEST),
)
def test_commitment_of(ledger: EvmLedger, task: int, round: int, opening: Reveal) -> None:
    expected = ledger.view("commitmentOf", task, round, ledger.account, astuple(opening))
    place = (ledger.chain_id, ledger.contract)
    assert history.commitment_of(*place, task, round, ledger.account, opening) == expected


def test_a_commitment_binds_chain_contract_task_round_and_client(contract: Stage) -> None:
    ledger, (one, two) = contract.ledger, contract.members[:2]
    place = (ledger.chain_id, ledger.contract, 1, 1, one)
    changed = [(5, *place[1:]), (place[0], two, *place[2:]), (*place[:2], 2, 1, one)]
    changed += [(*place[:3], 2, one), (*place[:4], two)]
    commitments = {history.commitment_of(*p, opening_of(0)) for p in [place, *changed]}
    assert len(commitments) == 6


def test_the_head_is_the_fold_of_the_log(contract: Stage) -> None:
    receipts = [contract.open(rounds=1)]
    receipts += [contract.commit(i) for i in range(4)] + [contract.miss()]
    receipts += [contract.reveal(i) for i in range(4)]
    receipts += [contract.attest(i, included=0b1111) for i in range(3)]
    entries = [entry for receipt in receipts for entry in receipt.entries]
    head = history.head_of(contract.ledger.chain_id, contract.ledger.contract, 1, entries)
    assert contract.state.history_head == head


def test_member_index_is_the_place_in_ascending_order(contract: Stage) -> None:
    contract.open()
    view = contract.ledger.view
    assert [view("memberIndex", 1, member) for member in contract.members] == [0, 1, 2, 3, 4]
    with pytest.raises(MemberUnknown):
        view("memberIndex", 1, contract.accounts[5])
    with pytest.raises(TaskUnknown):
        view("memberIndex", 2, contract.members[0])
