"""report.json, written by the person who ran the task; and step A9, which checks it against the history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chain.errors import FileUnusable
from chain.files import read_file
from chain.ledger import LedgerReader
from chain.text import shown
from chain.types import Entry, RoundFinalised, RoundOpened, TaskOpened
from fl_node.audit.findings import Findings
from fl_node.audit.report import AuditedRound, AuditReport
from fl_node.blobs.metrics import LONGEST, NAME
from fl_node.errors import Misuse

MAX_REPORT_BYTES = 1 << 26

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Account = Annotated[str, Field(pattern="^0x[0-9a-fA-F]{40}$")]
Count = Annotated[int, Field(ge=0, lt=1 << 63)]
MetricName = Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
Exact = Annotated[str, Field(max_length=len(str(LONGEST)))]
Millionths = Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class ReportedRound(_Strict):
    """One final round in a report. Losses are example-weighted means in millionths, and `metrics` are such means, as
    exact decimals; None if they are unknown. `gas` is the total of the round's transactions, None if unknown; `seconds`
    is the time from the round's opening to its result."""

    round: Count
    attempts: Count
    parent_digest: Digest
    aggregate_digest: Digest
    updates: dict[Account, Digest]
    included: tuple[Account, ...]
    training_loss: Millionths | None
    held_out_loss: Millionths | None
    metrics: dict[MetricName, Exact | None] | None
    gas: Count | None
    seconds: Count


class Report(_Strict):
    """A whole report. `audit`, `seconds` and `workspace` describe the run; the history confirms everything else."""

    audit: Literal["clean", "findings"]
    seconds: float
    workspace: str
    chain_id: Count
    contract: Account
    task: Count
    history_head: Digest
    final_digest: Digest
    rounds: tuple[ReportedRound, ...]


MAY_BE_UNKNOWN = {"gas", "metrics"}
"""Facts of a round that an audit cannot always learn: from a ledger without transactions, or from damaged updates."""

OF_THE_RUN = {"audit", "seconds", "workspace"}
"""Fields that no chain can confirm."""


def read_report(path: Path) -> Report:
    """Read a report.json.

    Raises:
        Misuse: The file cannot be read or is not a report; the message names the wrong field.
    """
    try:
        return Report.model_validate_json(read_file(path, MAX_REPORT_BYTES))
    except FileUnusable as error:
        raise Misuse(f"report {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part)[:50] for part in first["loc"])
        reason = f"{where}: {first['msg']}" if where else first["msg"]
        raise Misuse(
            f"{path} is not a report as `ganchor demo` writes it: {shown(reason)}"
        ) from None


def report_of(
    history: AuditReport, gas: Mapping[int, int], seconds: float, workspace: str
) -> Report:
    """The truthful report of a history.

    Args:
        history: The result of an audit that got past A1.
        gas: The gas of each round, from `gas_by_round`.
        seconds: How long the run took.
        workspace: The folder that holds the run.
    """
    return Report(
        audit="findings" if history.findings else "clean",
        seconds=seconds,
        workspace=workspace,
        **_facts(history, gas),
    )


def a9_report(
    findings: Findings, reported: Report, history: AuditReport, gas: Mapping[int, int]
) -> None:
    """Compare every fact in the report with the history itself."""
    findings.reach("A9")
    ours, theirs = _facts(history, gas), dict(reported)
    our_rounds, their_rounds = ours.pop("rounds"), theirs.pop("rounds")
    _compare(findings, None, ours, theirs)
    if len(their_rounds) != len(our_rounds):
        findings.add(
            "A9",
            "the report has the wrong number of rounds",
            expected=str(len(our_rounds)),
            actual=str(len(their_rounds)),
        )
    for our_round, their_round in zip(our_rounds, their_rounds, strict=False):
        _compare(findings, our_round.round, dict(our_round), dict(their_round))


def gas_by_round(ledger: LedgerReader, entries: Iterable[Entry]) -> dict[int, int]:
    """Gas of each round: the sum over its transactions, up to the one that made it final. Empty if the ledger has no
    transactions. Asks the ledger once for each transaction.

    Args:
        entries: The task's history, oldest first.
    """
    spent: dict[int, int] = {}
    seen: set[bytes] = set()
    current = 1
    for entry in entries:
        if isinstance(entry.event, RoundOpened | RoundFinalised):
            current = entry.event.round
        if entry.transaction and entry.transaction not in seen:
            seen.add(entry.transaction)
            if not isinstance(entry.event, TaskOpened):
                spent[current] = spent.get(current, 0) + ledger.gas_used(entry.transaction)
    return spent


def _facts(history: AuditReport, gas: Mapping[int, int]) -> dict[str, Any]:
    return {
        "chain_id": history.chain_id,
        "contract": history.contract,
        "task": history.task,
        "history_head": history.history_head,
        "final_digest": history.final_digest,
        "rounds": tuple(_round(audited, gas) for audited in history.rounds),
    }


def _round(audited: AuditedRound, gas: Mapping[int, int]) -> ReportedRound:
    return ReportedRound(
        round=audited.round,
        attempts=audited.attempts,
        parent_digest=audited.parent_digest,
        aggregate_digest=audited.aggregate_digest,
        updates={update.client: update.digest for update in audited.updates},
        included=tuple(update.client for update in audited.updates if update.included),
        training_loss=audited.training_loss,
        held_out_loss=audited.held_out_loss,
        metrics=audited.metrics,
        gas=gas.get(audited.round),
        seconds=audited.finalised_at - audited.opened_at,
    )


def _compare(
    findings: Findings, round: int | None, ours: dict[str, Any], theirs: dict[str, Any]
) -> None:
    for name, expected in ours.items():
        actual = theirs[name]
        unknown = (name == "gas" and actual is None) or (
            name in MAY_BE_UNKNOWN and expected is None
        )
        if not unknown and _comparable(expected) != _comparable(actual):
            findings.add(
                "A9",
                f"the report's {name.replace('_', ' ')} differs from the history",
                round=round,
                expected=_shown(expected, beside=actual),
                actual=_shown(actual, beside=expected),
            )


def _comparable(value: Any) -> Any:
    return sorted(value) if isinstance(value, tuple) else value


def _shown(value: Any, beside: Any) -> str:
    """A value as text; of updates, only those that differ from `beside`."""
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    if isinstance(value, dict):
        known = beside or {}
        other = [f"{key}: {item}" for key, item in value.items() if known.get(key, "") != item]
        return ", ".join(other) or "no others"
    return str(value)
