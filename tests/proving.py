"""Blocks as a chain makes them: a state with a contract whose storage holds a task's head, and the proof of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import rlp
from eth_utils.crypto import keccak
from trie import HexaryTrie

from chain.artifact import load_artifact
from chain.headers import FIELDS
from chain.proofs import HeadProof, head_slot
from chain.types import Address

NUMBER, TIME = 10**6, 10**9
"""The block that a proof is of unless a test says otherwise: after everything that a test's ledger records."""


def proof_of(
    contract: Address,
    task: int,
    head: bytes,
    *,
    code: bytes | None = None,
    number: int = NUMBER,
    time: int = TIME,
) -> HeadProof:
    """The proof that a block holds a task's head, among the heads of other tasks and other accounts."""
    slots = {head_slot(other): keccak(head_slot(other)) for other in range(20)}
    storage = trie_of({slot: rlp.encode(word) for slot, word in slots.items()})
    storage[keccak(head_slot(task))] = rlp.encode(head.lstrip(b"\0"))
    accounts = {bytes([other]) * 20: account(bytes(32), bytes(32)) for other in range(20)}
    state = trie_of(accounts)
    key = bytes.fromhex(contract[2:])
    state[keccak(key)] = account(storage.root_hash, code or load_artifact().code_hash)
    return HeadProof(
        header_of(state.root_hash, number, time),
        path(state, key),
        path(storage, head_slot(task)),
    )


def with_header(proof: HeadProof, **fields: bytes | int) -> HeadProof:
    """The same proof under another header; `fields` have the names that JSON-RPC gives them."""
    items = dict(zip(FIELDS, rlp.decode(proof.header), strict=True))
    return replace(proof, header=rlp.encode([*(items | fields).values()]))


def header_of(state_root: bytes, number: int, time: int) -> bytes:
    """A header of the first kind, before there was a base fee."""
    items: dict[str, bytes | int] = dict.fromkeys(FIELDS, bytes(32))
    items |= {"stateRoot": state_root, "number": number, "timestamp": time}
    return bytes(rlp.encode([*items.values()]))


def account(storage_root: bytes, code: bytes) -> bytes:
    """An account as the state holds it."""
    return bytes(rlp.encode([1, 0, storage_root, code]))


def trie_of(values: Mapping[bytes, bytes]) -> HexaryTrie:
    """A trie with these values, under the hashes of their keys, as the state and each storage are."""
    trie = HexaryTrie({})
    for key, value in values.items():
        trie[keccak(key)] = value
    return trie


def path(trie: HexaryTrie, key: bytes) -> tuple[bytes, ...]:
    """The nodes from the root to a key."""
    return tuple(rlp.encode(node) for node in trie.get_proof(keccak(key)))
