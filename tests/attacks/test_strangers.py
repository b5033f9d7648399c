"""Acting in a task that is not one's own, and looking for a privilege that nobody has."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from doubles import GENESIS, MANIFEST, MODEL, TERMS
from hostile import HONEST, STRANGER, Contract, Stage

from chain.accounts import address_of
from chain.answers import anything, quantity
from chain.artifact import load_artifact
from chain.connection import connect
from chain.errors import (
    CommitmentMismatch,
    MemberUnknown,
    NotAwaited,
    PhaseMismatch,
    RoundMismatch,
    UnknownRejection,
)
from chain.history import commitment_of
from chain.types import Phase, Reveal

OPENING = Reveal(bytes([1]) * 32, 1, 0, 0, bytes(32))

CALLS: dict[str, Callable[[Stage], object]] = {
    "commit": lambda stage: stage.stranger.commit(stage.task, 1, bytes([1]) * 32),
    "skip": lambda stage: stage.stranger.skip(stage.task, 1),
    "reveal": lambda stage: stage.stranger.reveal(stage.task, 1, OPENING),
    "attest": lambda stage: stage.stranger.attest(stage.task, 1, MODEL, 0b1),
    "rejoin": lambda stage: stage.stranger.rejoin(stage.task),
}


@pytest.mark.parametrize("call", CALLS)
def test_act_as_a_stranger(stage: Stage, call: str) -> None:
    """5. Every call of a member is refused to one who is none, whatever the phase, and changes nothing."""
    if call in ("reveal", "attest"):
        stage.commit(0, 1, 2)
    if call == "attest":
        stage.reveal(0, 1, 2)
    head = stage.state.history_head
    with pytest.raises(MemberUnknown) as caught:
        CALLS[call](stage)
    assert caught.value == MemberUnknown(stage.task, address_of(STRANGER))
    assert stage.state.history_head == head


def test_vote_without_having_revealed(stage: Stage) -> None:
    """5. Who sent no update has no say in the aggregate."""
    stage.commit(0, 1, 2)
    stage.reveal(0, 1)
    stage.let_deadline_pass()
    stage.stranger.advance(stage.task)
    with pytest.raises(NotAwaited):
        stage.attest(2, included=0b011)


def test_act_in_another_round_than_the_one_that_is_open(stage: Stage) -> None:
    """5. A call names its round, so that one that comes late or early cannot count in another."""
    for round in (0, 2):
        with pytest.raises(RoundMismatch):
            stage.members[0].commit(stage.task, round, bytes([1]) * 32)


def test_set_the_genesis_of_a_task_that_is_open(stage: Stage, contract: Contract) -> None:
    """6. A genesis is fixed with its task: another task with the same manifest touches nothing of it."""
    before = stage.state
    opened = stage.stranger.open_task(
        MANIFEST, MODEL, [address_of(signer) for signer in HONEST], TERMS
    )
    assert opened.entries[0].event.task > stage.task
    assert stage.state == before
    assert before.genesis_digest == GENESIS


def test_publish_the_model_alone(stage: Stage) -> None:
    """6. One member, the coordinator included, makes no model final: it takes more than half of the cohort."""
    with pytest.raises(PhaseMismatch):
        stage.attest(0)
    stage.commit(0, 1, 2)
    stage.reveal(0, 1, 2)
    stage.attest(0)
    assert (stage.state.phase, stage.state.parent_digest) == (Phase.ATTEST, GENESIS)


def test_look_for_a_privilege() -> None:
    """7. The contract takes the calls of ITrainingLedger and no others: no owner, no pause, no upgrade."""
    changing = {
        item["name"]
        for item in load_artifact().abi
        if item["type"] == "function" and item["stateMutability"] not in ("view", "pure")
    }
    acts = {"commit", "skip", "reveal", "attest", "rejoin"}
    assert changing == {"openTask", *acts, "relay", "advance"}


def test_look_for_money(contract: Contract) -> None:
    """8, 9. Nothing can be paid in, so that nothing can be slashed, locked or stolen."""
    abi = load_artifact().abi
    assert not [item for item in abi if item.get("stateMutability") == "payable"]
    assert not [item for item in abi if item["type"] in ("receive", "fallback")]
    connection = connect(contract.url)
    gift = {"from": address_of(STRANGER), "to": contract.address, "value": hex(1)}
    with pytest.raises(UnknownRejection, match="revert"):
        connection.ask(quantity, "eth_estimateGas", gift)
    assert connection.ask(quantity, "eth_getBalance", contract.address, "latest") == 0


def test_replay_a_call_on_another_chain(stage: Stage) -> None:
    """5. Every transaction is signed for one chain (EIP-155)."""
    stage.commit(0)
    block = connect(stage.contract.url).ask(anything, "eth_getBlockByNumber", "latest", True)
    (transaction,) = block["transactions"]
    assert int(transaction["chainId"], 16) == stage.members[0].chain_id


@pytest.mark.parametrize("part", range(5), ids=["chain", "contract", "task", "round", "client"])
def test_replay_a_commitment_from_elsewhere(stage: Stage, part: int) -> None:
    """5. A commitment is bound to chain, contract, task, round and client, and opens nowhere else."""
    ledger = stage.members[0]
    here = [ledger.chain_id, ledger.contract, stage.task, 1, ledger.account]
    elsewhere = [1, address_of(STRANGER), stage.task + 1, 2, address_of(STRANGER)]
    place = [*here[:part], elsewhere[part], *here[part + 1 :]]
    ledger.commit(stage.task, 1, commitment_of(*place, stage.opening(0)))
    stage.commit(1, 2)
    with pytest.raises(CommitmentMismatch):
        stage.reveal(0)
