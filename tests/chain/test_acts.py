"""What a member signs for a relayer: the calls it may hold, and what its signature binds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from hypothesis import given
from hypothesis import strategies as st

from chain.accounts import Signer, address_of, dev_account
from chain.acts import (
    RELAYED,
    Act,
    Relayed,
    act_signer,
    digest_to_sign,
    read_call,
    sign_act,
    write_call,
)
from chain.errors import ActInvalid
from chain.types import Address, Reveal

CHAIN_ID, CONTRACT = 1337, Address("0x00000000000000000000000000000000000000C0")
PLACE = (CHAIN_ID, CONTRACT, 3, 1)
VECTOR = Path(__file__).parents[1] / "vectors" / "act.json"
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
OPENING = Reveal(bytes([1]) * 32, 100, -1, 2**63 - 1, bytes([2]) * 32)
CALLS: dict[Relayed, tuple[Any, ...]] = {
    "commit": (3, bytes([5]) * 32),
    "skip": (3,),
    "reveal": (3, OPENING),
    "attest": (3, bytes([6]) * 32, 0b101),
    "rejoin": (),
}


@pytest.fixture
def signer() -> Signer:
    return dev_account(CHAIN_ID, 1)


@pytest.mark.parametrize("name", RELAYED)
def test_a_call_is_read_as_it_was_written(name: Relayed) -> None:
    read = read_call(write_call(name, 7, *CALLS[name]))
    assert (read.name, read.task, read.arguments) == (name, 7, CALLS[name])


@pytest.mark.parametrize("name", RELAYED)
def test_a_call_has_one_spelling(name: Relayed) -> None:
    call = write_call(name, 7, *CALLS[name])
    for other in (call + b"\0", call + bytes(20), call[:-1], call[:3], b""):
        with pytest.raises(ActInvalid):
            read_call(other)


@given(st.binary(max_size=300))
def test_whatever_is_read_is_a_call_or_refused(data: bytes) -> None:
    for call in (data, write_call("skip", 1, 1)[:4] + data):
        try:
            read = read_call(call)
        except ActInvalid:
            continue
        assert write_call(read.name, read.task, *read.arguments) == call


@pytest.mark.parametrize("name", [name for name in RELAYED if name != "reveal"])
def test_a_signature_names_its_member(name: Relayed, signer: Signer) -> None:
    act = sign_act(signer, *PLACE, write_call(name, 7, *CALLS[name]))
    assert act.member == address_of(signer) == act_signer(*PLACE, act)


def test_a_reveal_needs_no_signature(signer: Signer) -> None:
    act = sign_act(signer, *PLACE, write_call("reveal", 7, *CALLS["reveal"]))
    assert (act.r, act.vs) == (bytes(32), bytes(32))
    assert act_signer(*PLACE, act) is None


@pytest.mark.parametrize(
    "place",
    [
        (1, CONTRACT, 3, 1),
        (CHAIN_ID, Address("0x" + "11" * 20), 3, 1),
        (CHAIN_ID, CONTRACT, 4, 1),
        (CHAIN_ID, CONTRACT, 3, 0),
    ],
    ids=["chain", "contract", "round", "attempt"],
)
def test_it_binds_where_it_counts(place: Any, signer: Signer) -> None:
    act = sign_act(signer, *PLACE, write_call("skip", 7, 3))
    assert act_signer(*place, act) != address_of(signer)


def test_it_binds_the_call(signer: Signer) -> None:
    act = sign_act(signer, *PLACE, write_call("skip", 7, 3))
    other = replace(act, call=write_call("skip", 8, 3))
    assert act_signer(*PLACE, other) != address_of(signer)


def test_only_calls_of_members_are_signed(signer: Signer) -> None:
    with pytest.raises(ActInvalid):
        sign_act(signer, *PLACE, bytes.fromhex("a0712d68") + bytes(32))


def test_another_recovery_bit_names_somebody_else(signer: Signer) -> None:
    act = sign_act(signer, *PLACE, write_call("skip", 7, 3))
    flipped = int.from_bytes(act.vs, "big") ^ 1 << 255
    assert act_signer(*PLACE, replace(act, vs=flipped.to_bytes(32, "big"))) != act.member


@pytest.mark.parametrize(
    ("r", "vs"), [(0, 0), (0, 1), (1, 0), (ORDER, 1), (5, 5), (1, 2**255 - 1), (1, 2**256 - 1)]
)
def test_nonsense_names_nobody_that_matters(r: int, vs: int, signer: Signer) -> None:
    call = write_call("skip", 7, 3)
    act = Act(address_of(signer), call, r.to_bytes(32, "big"), vs.to_bytes(32, "big"))
    assert act_signer(*PLACE, act) != address_of(signer)


def test_wallets_show_the_same_message(signer: Signer) -> None:
    """eth_account's own EIP-712 gives the digest that is signed here."""
    call = write_call("attest", 7, *CALLS["attest"])
    message = encode_typed_data(
        {"name": "ganchor", "version": "2", "chainId": CHAIN_ID, "verifyingContract": CONTRACT},
        {"Act": [{"name": "round", "type": "uint16"}, {"name": "attempt", "type": "uint16"},
                 {"name": "call", "type": "bytes"}]},
        {"round": 3, "attempt": 1, "call": call},
    )  # fmt: skip
    signed = Account.sign_message(message, signer.key)
    assert bytes(signed.message_hash) == digest_to_sign(*PLACE, call)
    act = sign_act(signer, *PLACE, call)
    assert int.from_bytes(act.r, "big") == signed.r
    assert int.from_bytes(act.vs, "big") == signed.s | (signed.v - 27) << 255


def test_the_golden_act() -> None:
    """Who signs it is the devnet's first account."""
    vector = json.loads(VECTOR.read_bytes())
    place = tuple(vector[name] for name in ("chain_id", "contract", "round", "attempt"))
    call = bytes.fromhex(vector["call"][2:])
    assert "0x" + digest_to_sign(*place, call).hex() == vector["signed"]
    act = sign_act(dev_account(CHAIN_ID, 0), *place, call)
    assert (act.member, "0x" + act.r.hex(), "0x" + act.vs.hex()) == (
        vector["member"],
        vector["r"],
        vector["vs"],
    )
    assert act_signer(*place, act) == vector["member"]
