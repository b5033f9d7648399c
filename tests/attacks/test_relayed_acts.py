"""Making a member's signature, or the contract's ear for it, do what the member did not sign."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from doubles import GENESIS, MODEL, TERMS
from eth_keys.datatypes import PrivateKey
from hostile import HONEST, STRANGER, Contract, Stage

from chain.abi import encode_call
from chain.accounts import Signer
from chain.acts import Act, Relayed, digest_to_sign, sign_act, write_call
from chain.history import cohort_seed
from chain.types import Event, Phase, RoundAborted, RoundOpened


@pytest.fixture
def other(contract: Contract) -> Stage:
    """Another task of the same members, at the same round and attempt."""
    return Stage(contract)


def sign(stage: Stage, member: int, name: Relayed, *arguments: Any, **where: Any) -> Act:
    """An act for the task's round and attempt, if `where` names no other place."""
    state, ledger = stage.state, stage.stranger
    place = {"chain_id": ledger.chain_id, "contract": ledger.contract, "round": state.round,
             "attempt": state.attempt, "task": stage.task} | where  # fmt: skip
    task = place.pop("task")
    words = arguments if name == "rejoin" else (state.round, *arguments)
    return sign_act(HONEST[member], call=write_call(name, task, *words), **place)


def relay(stage: Stage, *acts: Act) -> list[Event]:
    """What a stranger gets done by sending these."""
    return [entry.event for entry in stage.stranger.relay(stage.task, acts).entries]


def test_an_act_for_another_task_at_the_same_round(stage: Stage, other: Stage) -> None:
    """21. A member of two tasks votes in one; the vote is carried to the other."""
    act = sign(stage, 0, "commit", stage.commitment(0))
    assert relay(other, act) == []
    assert other.stranger.relay(stage.task, [act]).entries


def test_an_act_for_another_task_inside_this_one(stage: Stage, other: Stage) -> None:
    """21. The batch names the task at whose attempt the signature holds, the call inside another."""
    act = sign(other, 0, "skip")
    assert relay(stage, act) == []
    assert other.state.awaited == 0b111


@pytest.mark.parametrize("where", [{"round": 2}, {"attempt": 1}, {"chain_id": 1}],
                         ids=["round", "attempt", "chain"])  # fmt: skip
def test_an_act_for_another_place(stage: Stage, where: dict[str, int]) -> None:
    """21. A signature counts in its round, attempt and chain, and in no other."""
    assert relay(stage, sign(stage, 0, "skip", **where)) == []
    assert relay(stage, sign(stage, 0, "skip")) != []


def test_a_vote_of_the_last_attempt_comes_again(stage: Stage) -> None:
    """21. After an abort the same round is open again, and an old vote must not count there."""
    votes = []
    for attempt in range(2):
        stage.commit(0, 1, 2)
        stage.reveal(0, 1, 2)
        assert stage.state.attempt == attempt
        if not votes:
            votes = [sign(stage, member, "attest", MODEL, 0b111) for member in range(2)]
            stage.let_deadline_pass()
            stage.stranger.advance(stage.task)
    assert relay(stage, *votes) == []
    assert stage.state.lead_votes == 0


def test_a_signature_is_sent_twice(stage: Stage) -> None:
    """21. In one batch, in two, and beside the direct call: an act is done once."""
    act = sign(stage, 0, "commit", stage.commitment(0))
    assert len(relay(stage, act, act)) == 1
    assert relay(stage, act) == []
    stage.commit(1)
    assert relay(stage, sign(stage, 1, "commit", stage.commitment(1))) == []
    assert stage.state.committed == 0b011


@pytest.mark.parametrize("signer", [HONEST[1], STRANGER], ids=["a member", "a stranger"])
def test_sign_for_another(stage: Stage, signer: Signer) -> None:
    """21. Neither a member nor a stranger can speak for a member."""
    ledger, call = stage.stranger, write_call("skip", stage.task, 1)
    act = sign_act(signer, ledger.chain_id, ledger.contract, 1, 0, call)
    assert relay(stage, replace(act, member=stage.members[0].account)) == []
    assert stage.state.awaited == 0b111


def test_a_stranger_signs_for_itself(stage: Stage) -> None:
    """5, 21. A good signature makes nobody a member."""
    ledger, call = stage.stranger, write_call("skip", stage.task, 1)
    assert relay(stage, sign_act(STRANGER, ledger.chain_id, ledger.contract, 1, 0, call)) == []


def test_a_signature_that_nobody_made(stage: Stage) -> None:
    """21. Where no key can be recovered, the answer is the address zero: it must not pass for a member's."""
    act = sign(stage, 0, "skip")
    zero = type(act.member)("0x" + "0" * 40)
    for r, vs in ((bytes(32), bytes(32)), (b"\xff" * 32, b"\xff" * 32)):
        assert relay(stage, replace(act, r=r, vs=vs), replace(act, member=zero, r=r, vs=vs)) == []


def test_reveal_for_another_without_its_opening(stage: Stage) -> None:
    """21. A reveal needs no signature, because it needs the salt."""
    stage.commit(0, 1, 2)
    guessed = replace(stage.opening(0), salt=bytes(32))
    mine = sign(stage, 1, "reveal", stage.opening(1))
    assert (
        relay(
            stage, sign(stage, 0, "reveal", guessed), replace(mine, member=stage.members[0].account)
        )
        == []
    )
    assert stage.state.revealed == 0


def test_a_batch_within_a_batch(stage: Stage) -> None:
    """21. The contract must not relay to itself: the inner batch would be taken for a member's own words."""
    inner = sign(stage, 0, "skip")
    words = [stage.task, [(inner.member, inner.call, inner.r, inner.vs)]]
    for act in signed_by_hand(stage, encode_call("relay", words)):
        assert relay(stage, act) == []
    assert stage.state.awaited == 0b111


@pytest.mark.parametrize("name", ["advance", "taskState", "openTask"])
def test_another_function_within_a_batch(stage: Stage, name: str) -> None:
    """21. Only five functions can be relayed, however good the signature."""
    stage.let_deadline_pass()
    words: dict[str, list[Any]] = {
        "advance": [stage.task],
        "taskState": [stage.task],
        "openTask": [bytes([1]) * 32, bytes([2]) * 32, [stage.members[0].account],
                     (1, 1, 1, 1, 1, 1, 1, 5_000)],
    }  # fmt: skip
    before, count = stage.state, stage.stranger.task_count()
    for act in signed_by_hand(stage, encode_call(name, words[name])):
        assert relay(stage, act) == []
    assert (stage.state, stage.stranger.task_count()) == (before, count)


@pytest.mark.parametrize("length", [0, 3, 4, 35, 36, 67, 69, 88])
def test_a_call_of_another_length(stage: Stage, length: int) -> None:
    """21. Bytes after a call could be taken for its member, and a call cut short must cost the others nothing."""
    call = (write_call("skip", stage.task, 1) + bytes(20))[:length]
    good = sign(stage, 1, "skip")
    for act in signed_by_hand(stage, call):
        assert len(relay(stage, act, good)) <= 1
    assert stage.state.awaited == 0b101


def signed_by_hand(stage: Stage, call: bytes) -> list[Act]:
    """The first member's signature over whatever it is given, which no node would give; and none at all."""
    ledger, state = stage.stranger, stage.state
    digest = digest_to_sign(ledger.chain_id, ledger.contract, state.round, state.attempt, call)
    signature = PrivateKey(bytes(HONEST[0].key)).sign_msg_hash(digest)
    vs = (signature.v << 255 | signature.s).to_bytes(32, "big")
    signed = Act(stage.members[0].account, call, signature.r.to_bytes(32, "big"), vs)
    return [signed, replace(signed, r=bytes(32), vs=bytes(32))]


# ------------------------------------------------------------------------------------ quorums and draws


def test_one_member_alone_is_no_quorum(contract: Contract) -> None:
    """15, 22. The others are silent, or were silenced until the deadline: nobody decides alone."""
    stage = Stage(contract, replace(TERMS, min_updates=1))
    stage.commit(0)
    stage.let_deadline_pass()
    stage.stranger.advance(stage.task)
    assert stage.state.phase is Phase.COMMIT
    assert [type(event) for event in stage.events].count(RoundAborted) == 1


def test_one_member_alone_while_the_others_decline(contract: Contract) -> None:
    """15, 22. It made the only update, and still needs one of those who declined to agree."""
    stage = Stage(contract, replace(TERMS, min_updates=1))
    stage.commit(0)
    for member in (1, 2):
        stage.members[member].skip(stage.task, 1)
    stage.reveal(0)
    stage.attest(0, included=0b001)
    assert (stage.state.round, stage.state.phase) == (1, Phase.ATTEST)
    stage.attest(1, digest=stage.state.parent_digest, included=0)
    stage.attest(2, digest=stage.state.parent_digest, included=0)
    assert (stage.state.round, stage.state.parent_digest) == (2, stage.state.genesis_digest)


@pytest.mark.parametrize("wait", [0, 7])
@pytest.mark.parametrize("by", ["a member", "a stranger"])
def test_a_retried_draw(contract: Contract, wait: int, by: str) -> None:
    """23. Whatever the block, the time and the sender, a draw comes out the same: there is nothing to try again for."""
    stage = Stage(contract, replace(TERMS, cohort_fraction=6_700, cohort_floor=1, min_updates=1))
    stage.let_deadline_pass()
    contract.travel(wait)
    (stage.stranger if by == "a stranger" else stage.members[0]).advance(stage.task)
    opened = [event for event in stage.events if isinstance(event, RoundOpened)]
    for attempt, event in enumerate(opened):
        assert event.seed == cohort_seed(GENESIS, stage.task, 1, attempt)
    # One of three is present, so that one is drawn: nothing is left to chance or choice.
    assert [event.cohort.bit_count() for event in opened] == [2, 1]
