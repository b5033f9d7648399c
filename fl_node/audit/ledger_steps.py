"""Steps A1, A2, A3 and A8: check what the chain recorded against the rules of the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from chain.errors import ChainMismatch, ContractMismatch
from chain.ledger import LedgerReader
from chain.types import Entry, TaskState
from fl_node.audit.findings import Findings
from fl_node.audit.replay import replay
from fl_node.audit.report import STEPS
from fl_node.history.record import RecordedRound


def a1_contract(findings: Findings, connect: Callable[[], LedgerReader]) -> LedgerReader | None:
    """Open the ledger; None if the chain or the code is not the expected one."""
    findings.reach("A1")
    try:
        return connect()
    except (ChainMismatch, ContractMismatch) as mismatch:
        findings.add("A1", str(mismatch))
        others = [step for step in STEPS if step != "A1"]
        findings.skip(*others, because="A1 found that this is not the contract")
        return None


def a2_log_complete(
    findings: Findings, state: TaskState, head: bytes, expected_head: bytes | None
) -> None:
    """Compare the head that folding the log gives with the contract's, and the contract's with the expected one."""
    findings.reach("A2")
    if head != state.history_head:
        findings.add(
            "A2",
            "the event log does not give the contract's history head",
            expected=state.history_head.hex(),
            actual=head.hex(),
        )
    if expected_head not in (None, state.history_head):
        findings.add(
            "A2",
            "the history head is not the expected one",
            expected=expected_head.hex(),
            actual=state.history_head.hex(),
        )


def a3_rules_obeyed(
    findings: Findings, ledger: LedgerReader, task: int, entries: Iterable[Entry]
) -> None:
    """Repeat every call in the log. Report the first divergence only: all later entries depend on it."""
    findings.reach("A3")
    divergence = replay(ledger.chain_id, ledger.contract, task, entries)
    if divergence is None:
        return
    recorded = divergence.recorded
    event = recorded.event if recorded else None
    findings.add(
        "A3",
        f"first divergence at block {recorded.block_number}, log {recorded.log_index}"
        if recorded
        else "the log ends too early",
        round=getattr(event, "round", None),
        client=getattr(event, "client", getattr(event, "member", None)),
        expected=divergence.expected,
        actual=str(event),
    )


def a8_parents(findings: Findings, state: TaskState, recorded: Iterable[RecordedRound]) -> None:
    """Follow the chain of models from the genesis to the contract's current one."""
    findings.reach("A8")
    parent = state.genesis_digest
    for number, round in enumerate(recorded, start=1):
        if (round.opened.round, round.opened.parent_digest) != (number, parent):
            findings.add(
                "A8",
                "the round does not start from the last final model",
                round=round.opened.round,
                expected=f"round {number} from {parent.hex()}",
                actual=f"round {round.opened.round} from {round.opened.parent_digest.hex()}",
            )
        parent = round.finalised.aggregate_digest
    if state.parent_digest != parent:
        findings.add(
            "A8",
            "the contract's current model is not the last final one",
            expected=parent.hex(),
            actual=state.parent_digest.hex(),
        )
