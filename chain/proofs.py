"""Proof that a block holds a task's history head: its header, and two paths through Merkle-Patricia tries.

The header's hash is the block's. The header names the root of the state; the first path leads from there to the
contract's account, which names the root of the contract's storage and the hash of its code; the second path leads from
there to the slot with the head.

Source: EIP-1186 (`eth_getProof`); the Ethereum yellow paper, 4.1 and appendix D.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import rlp
from eth_utils.crypto import keccak
from rlp.exceptions import RLPException

from chain.errors import ProofInvalid
from chain.headers import read_header
from chain.text import shown
from chain.types import Address

MAX_NODES = 65
"""The most nodes on a path: one for each half byte of a key of 32 bytes, and the last."""

MAX_NODE_BYTES = 1024
"""The longest node that is read; genuine ones have at most 532 bytes."""

TASKS_SLOT = 1
"""Where contracts/TrainingLedger.sol keeps its mapping of tasks."""

HEAD_OFFSET = 6
"""Where a task keeps its history head, counted from the task's first slot."""


@dataclass(frozen=True, slots=True)
class HeadProof:
    """What is said to prove a history head.

    Attributes:
        header: The block's header, in RLP.
        account: The nodes from the root of the state to the contract's account, in RLP.
        storage: The nodes from the root of the contract's storage to the head's slot, in RLP.
    """

    header: bytes
    account: tuple[bytes, ...]
    storage: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Proven:
    """What a proof proves about a task, to whoever trusts the block's hash.

    Attributes:
        block: The block's hash, 32 bytes.
        number: The block's number.
        time: When it was made, in seconds since 1970, as its maker says.
        code: keccak256 of the code at the contract's address, 32 bytes.
        head: The task's history head after the block, 32 bytes.
    """

    block: bytes
    number: int
    time: int
    code: bytes
    head: bytes


def follow(proof: HeadProof, contract: Address, task: int) -> Proven:
    """Follow a proof from its header to a task's history head.

    Args:
        proof: Anything that somebody else made.
        contract, task: Whose head it should lead to.

    Raises:
        ProofInvalid: It does not lead there.
    """
    try:
        header = read_header(proof.header)
        storage, code = _account(header.state_root, contract, proof.account)
        head = _head(storage, task, proof.storage)
    except ValueError as error:
        raise ProofInvalid(f"the proof of the history head does not hold: {error}") from None
    return Proven(header.hash, header.number, header.time, code, head)


def head_slot(task: int) -> bytes:
    """The slot of the contract's storage that holds a task's history head, 32 bytes.

    Source: https://docs.soliditylang.org/en/latest/internals/layout_in_storage.html
    """
    first = keccak(task.to_bytes(32, "big") + TASKS_SLOT.to_bytes(32, "big"))
    return ((int.from_bytes(first, "big") + HEAD_OFFSET) % (1 << 256)).to_bytes(32, "big")


def _account(root: bytes, contract: Address, nodes: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The root of the contract's storage, and the hash of its code."""
    value = _leaf("account", root, bytes.fromhex(contract[2:]), nodes)
    fields = _decoded("account", value, rlp.sedes.CountableList(rlp.sedes.binary))
    if [len(field) for field in fields[2:]] != [32, 32]:
        raise ValueError("the account's path leads to no account")
    return fields[2], fields[3]


def _head(root: bytes, task: int, nodes: Sequence[bytes]) -> bytes:
    value = _leaf("slot", root, head_slot(task), nodes)
    word: bytes = _decoded("slot", value, rlp.sedes.binary)
    if len(word) > 32:
        raise ValueError("the slot's path leads to no word")
    return word.rjust(32, b"\0")


def _leaf(what: str, root: bytes, key: bytes, nodes: Sequence[bytes]) -> bytes:
    """The value at the end of a key's path through a trie with this root."""
    from trie.hexary import (
        HexaryTrie,
    )  # It takes a tenth of a second to load, and few commands need it.

    if len(nodes) > MAX_NODES or any(len(node) > MAX_NODE_BYTES for node in nodes):
        raise ValueError(
            f"the {what}'s path is no path: at most {MAX_NODES} nodes of {MAX_NODE_BYTES} bytes"
        )
    try:
        value = HexaryTrie.get_from_proof(  # type: ignore[no-untyped-call]
            root, keccak(key), [rlp.decode(node) for node in nodes]
        )
    except Exception as error:  # On nodes of a strange form the library raises whatever comes.
        raise ValueError(f"the {what}'s path breaks off: {shown(error, 200)}") from None
    if not isinstance(value, bytes) or not value:
        raise ValueError(f"the {what}'s path ends where no {what} is")
    return value


def _decoded(what: str, value: bytes, kind: object) -> Any:
    try:
        return rlp.decode(value, kind)
    except (RLPException, IndexError, RecursionError) as error:
        raise ValueError(f"the {what}'s value is not RLP: {shown(error, 200)}") from None
