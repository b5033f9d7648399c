"""What a block proves about the history: parts of steps A1 and A2 (docs/protocol.md, "What a bundle proves")."""

from __future__ import annotations

from dataclasses import dataclass

from chain.artifact import load_artifact
from chain.errors import ProofInvalid
from chain.proofs import HeadProof, Proven, follow
from chain.types import Address
from fl_node.audit.findings import Findings
from fl_node.audit.report import InBlock
from fl_node.history.kept import TaskLog


@dataclass(frozen=True, slots=True)
class HeldByBlock:
    """The claim that a block holds the history head.

    Attributes:
        proof: What is said to prove it; nothing in it is believed.
        block: The hash of a block that the auditor trusts, 32 bytes; None if they trust none.
    """

    proof: HeadProof
    block: bytes | None = None


def a2_in_block(
    findings: Findings,
    claim: HeldByBlock,
    contract: Address,
    task: int,
    head: bytes,
    log: TaskLog,
) -> InBlock | None:
    """Check that the proof leads from its block to this head, through the committed contract.

    Args:
        head: The history head that the state shows, 32 bytes.
        log: All of the log.

    Returns:
        The block that holds the head; None if the proof shows no such block.
    """
    before = len(findings.found)
    try:
        proven = follow(claim.proof, contract, task)
    except ProofInvalid as error:
        findings.add("A2", str(error))
        return None
    _compare(findings, claim, proven, head)
    _compare_times(findings, proven, log)
    if len(findings.found) > before:
        return None
    return InBlock(proven.block.hex(), proven.number, proven.time, claim.block is not None)


def _compare(findings: Findings, claim: HeldByBlock, proven: Proven, head: bytes) -> None:
    code = load_artifact().code_hash
    if proven.code != code:
        findings.add(
            "A1",
            "in the block that the proof is of, other code lies at the contract's address",
            expected=f"keccak256 {code.hex()}",
            actual=f"keccak256 {proven.code.hex()}",
        )
    if proven.head != head:
        findings.add(
            "A2",
            "the block that the proof is of holds another history head",
            expected=proven.head.hex(),
            actual=head.hex(),
        )
    if claim.block not in (None, proven.block):
        findings.add(
            "A2",
            "the proof is of another block than the expected one",
            expected=claim.block.hex(),
            actual=proven.block.hex(),
        )


def _compare_times(findings: Findings, proven: Proven, log: TaskLog) -> None:
    """A block holds nothing that happened after it."""
    last = log.last()
    if last and (last.block_number > proven.number or last.timestamp > proven.time):
        findings.add(
            "A2",
            "the last event is said to have happened after the block that the proof is of",
            expected=f"at most block {proven.number}, time {proven.time}",
            actual=f"block {last.block_number}, time {last.timestamp}",
        )
