"""The audit, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from chain.ledger import LedgerReader
from chain.types import Address, Phase, TaskState
from fl_node.arrays import Arrays
from fl_node.audit.cosignatures import NOBODY, Witnesses, a2_cosigned
from fl_node.audit.findings import Findings
from fl_node.audit.ledger_steps import a1_contract, a2_log_complete, a3_rules_obeyed, a8_parents
from fl_node.audit.proven import HeldByBlock, a2_in_block
from fl_node.audit.report import AuditedRound, AuditedUpdate, AuditReport, weighted_loss
from fl_node.audit.reported import Report, a9_report, gas_by_round
from fl_node.audit.store_steps import a4_agreement, a5_to_a7
from fl_node.blobs.metrics import Metrics, mean_metrics, metrics_to_json
from fl_node.blobs.reader import Reader
from fl_node.errors import AuditImpossible
from fl_node.history.kept import KeptLog, TaskLog
from fl_node.history.record import RecordedRound, final_rounds, members_in
from fl_node.manifest.manifest import Manifest
from fl_node.round.aggregate import Aggregated
from fl_node.witness.note import origin_of

SETTLING_READS = 10
"""How many times the state of a running task is read until the log leads to it: the chain may be reorganised."""

Progress = Callable[[int, int], None]
"""Called with (rounds checked, rounds in all)."""


def audit(
    connect: Callable[[], LedgerReader],
    store: Reader,
    task: int,
    derive_genesis: Callable[[Manifest], Arrays] | None = None,
    reported: Report | None = None,
    unreported: str = "no report was given",
    expected_head: bytes | None = None,
    witnesses: Witnesses = NOBODY,
    held: HeldByBlock | None = None,
    progress: Progress = lambda done, of: None,
) -> AuditReport:
    """Check a task's whole history and report everything that is wrong with it.

    The log goes into a temporary file and is read from there step by step: memory holds one round and the report.

    Args:
        connect: Opens the ledger read-only; raises ChainMismatch or ContractMismatch if the chain or the code is not
            the expected one (step A1).
        store: Holds the task's blobs.
        task: The task's number.
        derive_genesis: Derives the genesis from a manifest's seed; if given, A4 compares it with the recorded one.
        reported: The report that A9 checks against the history; without one, A9 is not reached.
        unreported: The reason why there is no report.
        expected_head: A history head, 32 bytes, known from another source; if given, A2 compares it.
        witnesses: Who is trusted to have seen the history, and what they are said to have signed; A2 checks it.
        held: That a block holds the history head; if given, A1 and A2 check it.
        progress: Called after each round.

    Raises:
        TaskUnknown: No task has this number.
        ChainUnreachable, StoreUnusable: The chain or the store could not be read.
        AuditImpossible: The task kept changing while it was read.
        StateUnusable: The temporary file cannot be written.
    """
    findings = Findings()
    ledger = a1_contract(findings, connect)
    if ledger is None:
        return _finished(AuditReport(task), findings)
    with _settled(ledger, task) as (state, log):
        a2_log_complete(findings, state, log.head, expected_head)
        cosigned = a2_cosigned(
            findings, witnesses, origin_of(ledger.chain_id, ledger.contract, task), log
        )
        in_block = (
            a2_in_block(findings, held, ledger.contract, task, state.history_head, log)
            if held
            else None
        )
        a3_rules_obeyed(findings, ledger, task, log.entries())
        history = _history(findings, ledger, store, task, state, log, derive_genesis, progress)
        if reported is None:
            findings.skip("A9", because=unreported)
        else:
            a9_report(findings, reported, history, gas_by_round(ledger, log.entries()))
    return _finished(replace(history, cosigned=cosigned, in_block=in_block), findings)


def _history(
    findings: Findings,
    ledger: LedgerReader,
    store: Reader,
    task: int,
    state: TaskState,
    log: TaskLog,
    derive_genesis: Callable[[Manifest], Arrays] | None,
    progress: Progress,
) -> AuditReport:
    """Run steps A4 to A8; the history that they have read."""
    members = log.members()
    agreement = a4_agreement(findings, store, state, members, derive_genesis)
    if agreement:
        members = agreement.manifest.addresses
    a8_parents(findings, state, final_rounds(log.entries()))
    rounds: list[AuditedRound] = []
    blob_bytes = agreement.blob_bytes if agreement else 0
    final = state.round if state.phase is Phase.FINISHED else state.round - 1
    recorded = final_rounds(log.entries())
    for recorded_round, aggregated in a5_to_a7(findings, store, agreement, recorded):
        named = agreement.manifest.learner.metrics if agreement else ()
        rounds.append(_audited(recorded_round, members, aggregated, named))
        blob_bytes += aggregated.blob_bytes if aggregated else 0
        progress(len(rounds), final)
    return AuditReport(
        task=task,
        chain_id=ledger.chain_id,
        contract=ledger.contract,
        history_head=state.history_head.hex(),
        final_digest=state.parent_digest.hex(),
        blob_bytes=blob_bytes,
        rounds=tuple(rounds),
    )


def _finished(report: AuditReport, findings: Findings) -> AuditReport:
    return replace(
        report,
        statuses=findings.statuses(),
        findings=tuple(findings.found),
        reasons=findings.reasons(),
    )


@contextmanager
def _settled(ledger: LedgerReader, task: int) -> Iterator[tuple[TaskState, TaskLog]]:
    """The state, and the log that leads to it; all of the log if it leads elsewhere or further, and the state stays."""
    with TemporaryDirectory(prefix="ganchor-") as folder:
        kept = KeptLog(ledger, task, Path(folder) / "log.sqlite")
        for _ in range(SETTLING_READS):
            state = ledger.task_state(task)
            with kept.read_towards(state.history_head) as log:
                whole, head = log.whole(), state.history_head
                if head in (whole.head, ledger.task_state(task).history_head):
                    yield state, whole
                    return
                if head == log.head:  # What follows has happened since.
                    yield state, log
                    return
    raise AuditImpossible(f"task {task} changed during each of {SETTLING_READS} reads; try again")


def _audited(
    recorded: RecordedRound,
    members: Sequence[Address],
    aggregated: Aggregated | None,
    named: Sequence[str],
) -> AuditedRound:
    included = members_in(members, recorded.finalised.included)
    left_out = aggregated.left_out if aggregated else {}
    metrics = aggregated.metrics if aggregated else {}
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
            metrics=metrics_to_json(metrics[revealed.client])
            if revealed.client in metrics
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
        training_loss=weighted_loss([(u.training_loss, u.num_examples) for u in counted]),
        held_out_loss=weighted_loss([(u.held_out_loss, u.num_examples) for u in counted]),
        opened_at=recorded.opened_at,
        finalised_at=recorded.finalised_at,
        metrics=_means(metrics, counted, named) if aggregated else None,
    )


def _means(
    metrics: Mapping[Address, Metrics], counted: Sequence[AuditedUpdate], named: Sequence[str]
) -> dict[str, str | None] | None:
    """The means of a round's metrics; None if an update that the round included is not among those that were read."""
    if any(update.client not in metrics for update in counted):
        return None
    stated = [(metrics[update.client], update.num_examples) for update in counted]
    return metrics_to_json(mean_metrics(named, stated))
