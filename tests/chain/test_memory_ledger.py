"""What `MemoryLedger` adds to the rules: accounts, blocks, time, and replaying an excerpt.

The rules themselves are specified in tests/contracts/, where the contract answers beside it.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from chain.errors import NotAwaited, TaskUnknown, TermsInvalid
from chain.history import head_of
from chain.ledger import Ledger
from chain.memory_ledger import CHAIN_ID, CONTRACT, MemoryLedger
from chain.types import Address, RoundOpened, TaskOpened, Terms

MEMBERS = [Address(f"0x{i:040}") for i in (1, 2, 3)]
TERMS = Terms(2, 10, 10, 10, 10_000, 2, 1, 5_000)
DIGESTS = (bytes([1]) * 32, bytes([2]) * 32)
COMMITMENT = bytes([3]) * 32


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger(MEMBERS[0], clock=lambda: 1_000)


def test_it_is_a_ledger(ledger: MemoryLedger) -> None:
    usable: Ledger = ledger
    assert (usable.chain_id, usable.contract, usable.account) == (CHAIN_ID, CONTRACT, MEMBERS[0])
    assert usable.open_task(*DIGESTS, MEMBERS, TERMS).entries[0].event.task == 1
    assert usable.look(1).now == 1_000


def test_accounts_act_on_one_state(ledger: MemoryLedger) -> None:
    ledger.open_task(*DIGESTS, MEMBERS, TERMS)
    ledger.acting_as(MEMBERS[1]).commit(1, 1, COMMITMENT)
    assert ledger.task_state(1).committed == 0b010
    assert ledger.task_count() == ledger.acting_as(MEMBERS[2]).task_count() == 1


@pytest.mark.parametrize("position", range(4))
def test_terms_that_the_contracts_integers_cannot_hold(ledger: MemoryLedger, position: int) -> None:
    """The ABI refuses them on a chain: 16 bits for the rounds, 24 for each window."""
    most = [2**16 - 1, *[2**24 - 1] * 3]
    names = ["rounds", "commit_window", "reveal_window", "attest_window"]
    largest = replace(TERMS, **{names[position]: most[position]})
    ledger.open_task(*DIGESTS, MEMBERS, largest)
    beyond = replace(TERMS, **{names[position]: most[position] + 1})
    with pytest.raises(TermsInvalid) as caught:
        ledger.open_task(*DIGESTS, MEMBERS, beyond)
    assert caught.value == TermsInvalid(position, most[position] + 1)


def test_each_call_is_a_block_and_its_events_are_in_order(ledger: MemoryLedger) -> None:
    receipt = ledger.open_task(*DIGESTS, MEMBERS, TERMS)
    assert [(e.block_number, e.log_index, e.timestamp) for e in receipt.entries] == [
        (1, 0, 1_000),
        (1, 1, 1_000),
    ]
    assert [type(e.event) for e in receipt.entries] == [TaskOpened, RoundOpened]
    assert ledger.commit(1, 1, COMMITMENT).block_number == 2


def test_the_history_is_of_one_task_and_from_a_block_on(ledger: MemoryLedger) -> None:
    ledger.open_task(*DIGESTS, MEMBERS, TERMS)
    ledger.open_task(*DIGESTS, MEMBERS, TERMS)
    ledger.commit(1, 1, COMMITMENT)
    assert [entry.block_number for entry in ledger.history(1)] == [1, 1, 3]
    assert [entry.block_number for entry in ledger.history(1, from_block=2)] == [3]
    assert ledger.history(3) == ()


def test_the_head_in_the_state_is_the_fold_of_the_history(ledger: MemoryLedger) -> None:
    ledger.open_task(*DIGESTS, MEMBERS, TERMS)
    ledger.skip(1, 1)
    assert ledger.task_state(1).history_head == head_of(CHAIN_ID, CONTRACT, 1, ledger.history(1))


def test_a_refused_call_leaves_no_block(ledger: MemoryLedger) -> None:
    ledger.open_task(*DIGESTS, MEMBERS, TERMS)
    ledger.commit(1, 1, COMMITMENT)
    with pytest.raises(NotAwaited):
        ledger.commit(1, 1, COMMITMENT)
    with pytest.raises(TaskUnknown):
        ledger.task_state(2)
    assert len(ledger.history(1)) == 3
    assert ledger.acting_as(MEMBERS[1]).skip(1, 1).block_number == 3


def test_time_comes_from_outside() -> None:
    clock = [50]
    ledger = MemoryLedger(MEMBERS[0], clock=lambda: clock[0])
    opened = ledger.open_task(*DIGESTS, MEMBERS, TERMS).entries[1].event
    assert isinstance(opened, RoundOpened)
    assert opened.deadline == 60
    clock[0] = 61
    assert ledger.advance(1).entries[-1].event.deadline == 71


def test_another_ledger_can_be_mirrored() -> None:
    contract = MEMBERS[2]
    ledger = MemoryLedger(MEMBERS[0], chain_id=5, contract=contract)
    opened = ledger.open_task(*DIGESTS, MEMBERS, TERMS).entries
    assert ledger.task_state(1).history_head == head_of(5, contract, 1, opened)
