"""What a member signs so that somebody else can send it: acts for the contract's `relay`.

A member without ether signs its commitment, its vote, and so on, and hands it to a relayer, who pays for the
transaction. The contract checks the signature and carries the call out as the member's own. The signature is EIP-712
over round, attempt and call, in the compact form of EIP-2098. A reveal needs none: the commitment on chain names the
client, and only who knows the salt can open it.

docs/protocol.md, "Relayed acts", specifies the bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any, Literal, cast, get_args

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from chain.accounts import Signer, address_of
from chain.errors import ActInvalid
from chain.history import REVEAL
from chain.types import Address, Reveal

Relayed = Literal["commit", "skip", "reveal", "attest", "rejoin"]

RELAYED: tuple[Relayed, ...] = get_args(Relayed)
"""The functions of the contract that a member may let others send."""

DOMAIN_NAME = "ganchor"
DOMAIN_VERSION = "2"
DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
ACT_TYPE = "Act(uint16 round,uint16 attempt,bytes call)"

BATCH_GAS, ACT_GAS = 300_000, 120_000
"""Gas that a batch of acts gets, and each act in it. The last act may end a phase, which can draw 95 of 96 members.
It is not estimated: a batch succeeds with too little gas as well, and leaves out the acts that had none."""

NO_WORD = bytes(32)
_LOW_BITS = (1 << 255) - 1
_ARGUMENTS: dict[Relayed, tuple[str, ...]] = {
    "commit": ("uint256", "uint16", "bytes32"),
    "skip": ("uint256", "uint16"),
    "reveal": ("uint256", "uint16", REVEAL),
    "attest": ("uint256", "uint16", "bytes32", "uint96"),
    "rejoin": ("uint256",),
}
_SELECTORS: dict[Relayed, bytes] = {
    name: keccak(text=f"{name}({','.join(types)})")[:4] for name, types in _ARGUMENTS.items()
}


@dataclass(frozen=True, slots=True)
class Act:
    """A call that its member signed and somebody else sends (ITrainingLedger.Act).

    Attributes:
        member: Who signed.
        call: Calldata of one of `RELAYED`.
        r: First half of the compact signature, 32 bytes; zeros for a reveal.
        vs: Second half, 32 bytes: `s`, and the recovery bit as its highest.
    """

    member: Address
    call: bytes
    r: bytes
    vs: bytes


@dataclass(frozen=True, slots=True)
class Call:
    """A call that can be relayed, read: its arguments are those of the `Ledger`'s method of this name."""

    name: Relayed
    task: int
    arguments: tuple[Any, ...]


def write_call(name: Relayed, task: int, *arguments: Any) -> bytes:
    """Return a call's data: the function's selector and its arguments.

    Args:
        name: One of `RELAYED`.
        task: The task's number.
        arguments: What the `Ledger`'s method of this name takes after the task.
    """
    words = [astuple(value) if isinstance(value, Reveal) else value for value in arguments]
    return _SELECTORS[name] + encode(_ARGUMENTS[name], (task, *words))


def read_call(call: bytes) -> Call:
    """Read a call's data, in its one spelling.

    Raises:
        ActInvalid: It is not the call of one of `RELAYED`, or is spelled in another way.
    """
    name = next((name for name in RELAYED if call[:4] == _SELECTORS[name]), None)
    if name is None:
        raise ActInvalid(f"a call of {', '.join(RELAYED)} was expected, got 0x{call[:4].hex()}")
    try:
        task, *arguments = decode(_ARGUMENTS[name], call[4:])
    except (DecodingError, OverflowError) as error:
        raise ActInvalid(f"the call of {name} does not decode: {type(error).__name__}") from None
    if name == "reveal":
        arguments[1] = Reveal(*arguments[1])
    read = Call(name, cast("int", task), tuple(arguments))
    if write_call(name, read.task, *read.arguments) != call:
        raise ActInvalid(f"the call of {name} has bytes that say nothing")
    return read


def sign_act(
    signer: Signer, chain_id: int, contract: Address, round: int, attempt: int, call: bytes
) -> Act:
    """Sign a call for a relayer.

    Args:
        signer: The member.
        chain_id, contract: The ledger that the act is for, and no other.
        round, attempt: Those that the task is at: the contract takes the act in no other.
        call: As `write_call` returns it. A `reveal` gets no signature, because it needs none.

    Raises:
        ActInvalid: `call` is not the call of one of `RELAYED`.
    """
    if read_call(call).name == "reveal":
        return Act(address_of(signer), call, NO_WORD, NO_WORD)
    return sign_call(signer, chain_id, contract, round, attempt, call)


def sign_call(
    signer: Signer, chain_id: int, contract: Address, round: int, attempt: int, call: bytes
) -> Act:
    """Sign a call of any kind: `ganchor relay` takes none without, not even those that the contract takes from anyone.

    Args: As for `sign_act`.
    """
    from eth_keys.datatypes import PrivateKey  # Only who signs waits for it.

    digest = digest_to_sign(chain_id, contract, round, attempt, call)
    signature = PrivateKey(bytes(signer.key)).sign_msg_hash(digest)
    r, vs = signature.r, signature.v << 255 | signature.s
    return Act(address_of(signer), call, r.to_bytes(32, "big"), vs.to_bytes(32, "big"))


def act_signer(
    chain_id: int, contract: Address, round: int, attempt: int, act: Act
) -> Address | None:
    """Return who signed an act, as the contract recovers it; None if nobody did.

    Like the contract, this does not ask for the lower of ECDSA's two `s`: nothing is keyed by a signature, so that
    another one of the same member for the same call is of no use to anybody.

    Args:
        chain_id, contract, round, attempt: Where the act is to be carried out.
        act: Of any content. Whether its call is one of `RELAYED` is not looked at.
    """
    from eth_keys.datatypes import Signature
    from eth_keys.exceptions import BadSignature

    vs = int.from_bytes(act.vs, "big")
    vrs = (vs >> 255, int.from_bytes(act.r, "big"), vs & _LOW_BITS)
    digest = digest_to_sign(chain_id, contract, round, attempt, act.call)
    try:
        signer = Signature(vrs=vrs).recover_public_key_from_msg_hash(digest)
    except BadSignature:
        return None
    return Address(signer.to_checksum_address())


def digest_to_sign(
    chain_id: int, contract: Address, round: int, attempt: int, call: bytes
) -> bytes:
    """Return what the member signs: 32 bytes. Source: https://eips.ethereum.org/EIPS/eip-712"""
    domain = _struct(
        DOMAIN_TYPE,
        ("bytes32", "bytes32", "uint256", "address"),
        (keccak(text=DOMAIN_NAME), keccak(text=DOMAIN_VERSION), chain_id, contract),
    )
    act = _struct(ACT_TYPE, ("uint16", "uint16", "bytes32"), (round, attempt, keccak(call)))
    return keccak(b"\x19\x01" + domain + act)


def _struct(name: str, types: Sequence[str], values: Sequence[object]) -> bytes:
    return keccak(encode(("bytes32", *types), (keccak(text=name), *values)))


def gas_for(acts: int) -> int:
    """Return the gas with which a batch of so many acts is sent; what it does not use is not paid for."""
    return BATCH_GAS + acts * ACT_GAS
