"""Steps A1, A2, A3 and A8: what the chain recorded, held against the rules of the contract."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chain.errors import ChainMismatch, ContractMismatch
from chain.ledger import Ledger
from chain.types import Entry, TaskState
from fl_node.audit.findings import Findings
from fl_node.audit.replay import head_of, replay
from fl_node.audit.report import STEPS
from fl_node.history.record import RecordedRound


def a1_contract(findings: Findings, connect: Callable[[], Ledger]) -> Ledger | None:
    """Open the ledger; None where chain or code are not the expected ones."""
    findings.reach("A1")
    try:
        return connect()
    except (ChainMismatch, ContractMismatch) as mismatch:
        findings.add("A1", str(mismatch))
        others = [step for step in STEPS if step != "A1"]
        findings.skip(*others, because="A1 found that this is not the contract")
        return None


def a2_log_complete(
    findings: Findings,
    ledger: Ledger,
    task: int,
    state: TaskState,
    entries: Sequence[Entry],
    expected_head: bytes | None,
) -> None:
    """Fold the log and compare with the contract's head, and that with the one that the caller expects."""
    findings.reach("A2")
    head = head_of(ledger.chain_id, ledger.contract, task, entries)
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
            "this is another history than the one expected",
            expected=expected_head.hex(),
            actual=state.history_head.hex(),
        )


def a3_rules_obeyed(
    findings: Findings, ledger: Ledger, task: int, entries: Sequence[Entry]
) -> None:
    """Repeat every call that the log shows; the first divergence is the finding, as what follows depends on it."""
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
        else "the log breaks off",
        round=getattr(event, "round", None),
        client=getattr(event, "client", getattr(event, "member", None)),
        expected=divergence.expected,
        actual=str(event),
    )


def a8_parents(findings: Findings, state: TaskState, recorded: Sequence[RecordedRound]) -> None:
    """Follow the models from the genesis to the contract's current one."""
    findings.reach("A8")
    parent = state.genesis_digest
    for number, one in enumerate(recorded, start=1):
        if (one.opened.round, one.opened.parent_digest) != (number, parent):
            findings.add(
                "A8",
                "the round does not start from the last final model",
                round=one.opened.round,
                expected=f"round {number} from {parent.hex()}",
                actual=f"round {one.opened.round} from {one.opened.parent_digest.hex()}",
            )
        parent = one.finalised.aggregate_digest
    if state.parent_digest != parent:
        findings.add(
            "A8",
            "the contract's current model is not the last final one",
            expected=parent.hex(),
            actual=state.parent_digest.hex(),
        )
