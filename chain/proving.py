"""Asks a node for the proof that a block holds a task's history head."""

from __future__ import annotations

from chain import answers
from chain.connection import Connection
from chain.errors import LedgerUnusable, ProofInvalid
from chain.headers import header_from, read_header
from chain.proofs import HeadProof, follow, head_slot
from chain.types import Address


def head_proof(
    connection: Connection, contract: Address, task: int, head: bytes, block: int
) -> HeadProof:
    """A proof that a block holds a task's history head: a given block, or the newest.

    Many nodes remember the state of the last few blocks only, so that they cannot prove anything about an older one.

    Args:
        head: The history head, 32 bytes.
        block: The number of the block with the head's last event: the first one that holds it.

    Raises:
        ProofInvalid: What the node gives proves no head, or another one.
        ChainRefused: The node gives no proofs, or none of these blocks.
        ChainUnreachable: The node does not answer, or not as a chain does.
    """
    try:
        return _proof_in(connection, contract, task, head, hex(block))
    except (LedgerUnusable, ProofInvalid) as error:
        try:
            return _proof_in(connection, contract, task, head, "latest")
        except (LedgerUnusable, ProofInvalid):
            raise error from None


def _proof_in(
    connection: Connection, contract: Address, task: int, head: bytes, block: str
) -> HeadProof:
    header = connection.ask(header_from, "eth_getBlockByNumber", block, False)
    number, slot = hex(read_header(header).number), "0x" + head_slot(task).hex()
    given = connection.ask(answers.account_proof, "eth_getProof", contract, [slot], number)
    proof = HeadProof(header, given.account, given.storage)
    proven = follow(proof, contract, task)
    if proven.head != head:
        raise ProofInvalid(
            f"block {proven.number} holds the history head {proven.head.hex()}, not {head.hex()}"
        )
    return proof
