"""The audit, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from chain.ledger import Ledger
from chain.types import Address, Entry, TaskState
from fl_node.arrays import Arrays
from fl_node.audit.findings import Findings
from fl_node.audit.ledger_steps import a1_contract, a2_log_complete, a3_rules_obeyed, a8_parents
from fl_node.audit.report import AuditedRound, AuditedUpdate, AuditReport, weighted_loss
from fl_node.audit.reported import Report, a9_report, gas_by_round
from fl_node.audit.store_steps import a4_agreement, a5_to_a7
from fl_node.blobs.store import Store
from fl_node.errors import AuditImpossible
from fl_node.history.record import RecordedRound, final_rounds, members_in, members_of
from fl_node.manifest.manifest import Manifest
from fl_node.round.aggregate import Aggregated

SETTLING_READS = 10
"""Times that state and log are read until they fit together, when the task is still running."""

Progress = Callable[[int, int], None]
"""Told (rounds checked, rounds in all)."""


def audit(
    connect: Callable[[], Ledger],
    store: Store,
    task: int,
    derive_genesis: Callable[[Manifest], Arrays] | None = None,
    reported: Report | None = None,
    unreported: str = "no report was given",
    expected_head: bytes | None = None,
    progress: Progress = lambda done, of: None,
) -> AuditReport:
    """Check a task's whole history and say what is wrong with it.

    Args:
        connect: Gives the ledger, read only, or raises ChainMismatch or ContractMismatch where chain or code are not
            the expected ones: step A1.
        store: Where the blobs are.
        task: The task's number.
        derive_genesis: Gives the genesis that a manifest's seed stands for; A4 then compares it.
        reported: What A9 holds against the history; without it A9 is not reached.
        unreported: Why there is none.
        expected_head: The history head that the caller knows from elsewhere, 32 bytes; A2 then compares it.
        progress: Told after each round.

    Raises:
        TaskUnknown: There is no such task.
        ChainUnreachable, StoreUnusable: Chain or store could not be read.
        AuditImpossible: The task is too busy to be read in one piece.
    """
    findings = Findings()
    ledger = a1_contract(findings, connect)
    if ledger is None:
        return _finished(AuditReport(task), findings)
    state, entries = _settled(ledger, task)
    a2_log_complete(findings, ledger, task, state, entries, expected_head)
    a3_rules_obeyed(findings, ledger, task, entries)
    members = members_of(entries)
    agreement = a4_agreement(findings, store, state, members, derive_genesis)
    if agreement:
        members = agreement.manifest.addresses
    recorded = final_rounds(entries)
    a8_parents(findings, state, recorded)
    rounds: list[AuditedRound] = []
    blob_bytes = agreement.blob_bytes if agreement else 0
    for one, aggregated in a5_to_a7(findings, store, agreement, recorded):
        rounds.append(_audited(one, members, aggregated))
        blob_bytes += aggregated.blob_bytes if aggregated else 0
        progress(len(rounds), len(recorded))
    history = AuditReport(
        task=task,
        chain_id=ledger.chain_id,
        contract=ledger.contract,
        history_head=state.history_head.hex(),
        final_digest=state.parent_digest.hex(),
        blob_bytes=blob_bytes,
        rounds=tuple(rounds),
    )
    if reported is None:
        findings.skip("A9", because=unreported)
    else:
        a9_report(findings, reported, history, gas_by_round(ledger, entries))
    return _finished(history, findings)


def _finished(report: AuditReport, findings: Findings) -> AuditReport:
    return replace(
        report,
        statuses=findings.statuses(),
        findings=tuple(findings.found),
        reasons=findings.reasons(),
    )


def _settled(ledger: Ledger, task: int) -> tuple[TaskState, Sequence[Entry]]:
    """Read state and log of the same moment."""
    for _ in range(SETTLING_READS):
        before = ledger.task_state(task)
        entries = ledger.history(task)
        if ledger.task_state(task).history_head == before.history_head:
            return before, entries
    raise AuditImpossible(
        f"task {task} changed during each of {SETTLING_READS} readings; try again"
    )


def _audited(
    recorded: RecordedRound, members: Sequence[Address], aggregated: Aggregated | None
) -> AuditedRound:
    included = members_in(members, recorded.finalised.included)
    left_out = aggregated.left_out if aggregated else {}
    updates = tuple(
        AuditedUpdate(
            client=revealed.client,
            digest=revealed.reveal.update_digest.hex(),
            num_examples=revealed.reveal.num_examples,
            training_loss=revealed.reveal.training_loss,
            held_out_loss=revealed.reveal.held_out_loss,
            included=revealed.client in included,
            left_out_because=str(left_out[revealed.client])
            if revealed.client in left_out
            else None,
        )
        for revealed in recorded.reveals
    )
    counted = [update for update in updates if update.included]
    return AuditedRound(
        round=recorded.opened.round,
        attempts=recorded.opened.attempt + 1,
        parent_digest=recorded.opened.parent_digest.hex(),
        aggregate_digest=recorded.finalised.aggregate_digest.hex(),
        updates=updates,
        training_loss=weighted_loss([(one.training_loss, one.num_examples) for one in counted]),
        held_out_loss=weighted_loss([(one.held_out_loss, one.num_examples) for one in counted]),
        opened_at=recorded.opened_at,
        finalised_at=recorded.finalised_at,
    )
