"""Relays that send a member's act with too little gas, and members that make one pay: over HTTP, on the contract."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, replace
from typing import Any

import pytest
from hostile import HONEST, POOR, STRANGER, Contract, Stage

from chain import answers
from chain.abi import encode_call
from chain.acts import Act
from chain.connection import connect
from chain.errors import RelayUnusable
from chain.fees import MAX_WEI_PER_GAS
from chain.paying import Account
from chain.receipts import receipt_of
from chain.relay.client import Relay
from chain.relay.ledger import RelayedLedger
from chain.relay.limits import Caps, Purse
from chain.relay.outcome import Status
from chain.relay.relayer import Relayer
from chain.relay.server import relay_in_thread
from chain.relay.submission import Submission, sign_submission
from chain.types import MemberRejoined, Phase, Receipt
from chain.web3_ledger import Web3Ledger

ABSENT = 2
TOO_LITTLE = 45_000
"""Enough for the batch, and not for the act in it."""


class Starves:
    """The account of a relay that saves gas. `lies` says whether it also says that the acts are done."""

    def __init__(self, contract: Contract, lies: bool) -> None:
        self._honest = Web3Ledger(contract.url, contract.address, STRANGER)
        self._connection = connect(contract.url)
        self._lies = lies
        self.starved = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._honest, name)

    def relay(self, task: int, acts: Sequence[Act]) -> Receipt:
        data = "0x" + encode_call("relay", (task, [astuple(act) for act in acts])).hex()
        message = {"to": self._honest.contract, "data": data}
        account = Account(self._connection, STRANGER, MAX_WEI_PER_GAS)
        prepared = account.prepare({"from": STRANGER.address, **message})
        price = account.first_price(prepared.market)
        raw = account.sign({**message, "gas": TOO_LITTLE}, prepared.nonce, price)
        sent = self._connection.ask(answers.word, "eth_sendRawTransaction", "0x" + raw.hex())
        found = receipt_of(self._connection, sent)
        assert found is not None and found.succeeded and not found.logs
        self.starved += 1
        receipt = self._honest._receipt(found)
        if not self._lies:
            return receipt
        last = [*self._honest.history(task)][-1]
        done = [replace(last, event=MemberRejoined(task, act.member)) for act in acts]
        return replace(receipt, entries=tuple(done))


def missed(stage: Stage) -> Stage:
    """The third member has missed the commit window."""
    stage.commit(0, 1)
    stage.let_deadline_pass()
    stage.stranger.advance(stage.task)
    assert (stage.state.phase, stage.state.absent) == (Phase.REVEAL, 1 << ABSENT)
    return stage


@pytest.fixture
def away(stage: Stage) -> Stage:
    return missed(stage)


@contextmanager
def served(stage: Stage, posting: Any) -> Iterator[Relay]:
    """A relay of the task over HTTP, and the account that pays for it."""
    reading = Web3Ledger(stage.contract.url, stage.contract.address)
    members = {stage.task: [member.account for member in stage.members]}
    with relay_in_thread(Relayer(reading, posting, members, Purse(Caps()), wait=0.0)) as url:
        yield Relay(url, seconds=60.0)


@pytest.fixture
def honest(contract: Contract) -> Web3Ledger:
    return Web3Ledger(contract.url, contract.address, STRANGER)


def absent_one(stage: Stage, relay: Relay, posting: Starves | None = None) -> RelayedLedger:
    """The absent member. It waits for its relay: half of the time that is left, or until that has starved its act."""
    member, signer = stage.members[ABSENT], stage.signers[ABSENT]
    if posting is None:
        return RelayedLedger(member, relay, signer, share=0.5)
    return RelayedLedger(member, relay, signer, clock=lambda: 1e9 * (posting.starved > 0))


def rejoined(stage: Stage) -> int:
    return sum(isinstance(event, MemberRejoined) for event in stage.events)


@pytest.mark.parametrize("lies", [False, True], ids=["and says so", "and lies"])
def test_a_starved_member_comes_back_by_its_own_call(
    contract: Contract, away: Stage, lies: bool
) -> None:
    """25. The relay pays for nothing, and the member loses a share of the phase."""
    greedy = Starves(contract, lies)
    with served(away, greedy) as relay:
        receipt = absent_one(away, relay, greedy).rejoin(away.task)
    assert greedy.starved
    assert receipt.gas_used > 0
    assert (away.state.absent, rejoined(away)) == (0, 1)


def test_a_starved_member_without_ether_says_why_and_another_relay_helps_it(
    contract: Contract, honest: Web3Ledger
) -> None:
    """25. An act that was starved is as good as before: starving it takes nothing from the member but time."""
    away = missed(Stage(contract, signers=[*HONEST[:2], POOR]))
    greedy = Starves(contract, lies=True)
    with (
        served(away, greedy) as relay,
        pytest.raises(RelayUnusable, match=r"a direct call failed too: account .* cannot pay"),
    ):
        absent_one(away, relay, greedy).rejoin(away.task)
    assert away.state.absent == 1 << ABSENT
    with served(away, honest) as relay:
        assert absent_one(away, relay).rejoin(away.task).gas_used == 0
    assert (away.state.absent, rejoined(away)) == (0, 1)


def rejoin_of(stage: Stage, member: int) -> Submission:
    state, ledger = stage.state, stage.stranger
    turn = (stage.task, state.round, state.attempt)
    return sign_submission(HONEST[member], ledger.chain_id, ledger.contract, turn, "rejoin")


def test_a_member_cannot_make_a_relay_pay_twice_for_coming_back(
    away: Stage, honest: Web3Ledger
) -> None:
    """26. The act is sent again and again, also by members who were never away."""
    with served(away, honest) as relay:
        absent_one(away, relay).rejoin(away.task)
        while relay.health().waiting:  # It settles what it paid after the block is there.
            time.sleep(0.01)
        spent = relay.health().gas_today
        for _ in range(3):
            relay.send(rejoin_of(away, ABSENT))
            assert relay.send(rejoin_of(away, 0)).status is Status.REFUSED
        assert relay.health().gas_today == spent > 0
    assert rejoined(away) == 1
