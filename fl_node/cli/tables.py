"""What people see of rounds and audits: tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from chain.text import shown
from fl_node.audit.report import STEPS, AuditedRound, AuditReport, Finding, Status
from fl_node.cli.words import loss, short

_STATUS_STYLES = {Status.CLEAN: "green", Status.FINDINGS: "red", Status.NOT_REACHED: "yellow"}


def rounds_table(
    rounds: Sequence[AuditedRound],
    gas: Mapping[int, int] | None = None,
    held_out: str = "held-out loss",
) -> Table:
    """One line for each round: aggregate, updates, who was included, losses, gas and seconds.

    Args:
        rounds: From an audit.
        gas: Gas of all transactions of a round, by its number; no column where absent.
        held_out: What the held-out loss is.
    """
    table = Table(
        title="Rounds on chain; losses are means over the updates, weighted by examples",
        title_justify="left",
        box=box.SIMPLE,
        pad_edge=False,
    )
    table.add_column("round", justify="right")
    table.add_column("model")
    table.add_column("client, update, examples", no_wrap=True)
    table.add_column("training loss", justify="right")
    table.add_column(held_out, justify="right")
    if gas is not None:
        table.add_column("gas", justify="right")
    table.add_column("s", justify="right")
    for one in rounds:
        cells = [
            str(one.round),
            short(one.aggregate_digest),
            "\n".join(_update_line(one)) or "declined by all",
            loss(one.training_loss),
            loss(one.held_out_loss),
        ]
        if gas is not None:
            cells.append(f"{gas.get(one.round, 0):,}")
        table.add_row(*cells, str(one.finalised_at - one.opened_at))
    return table


def _update_line(one: AuditedRound) -> list[str]:
    return [
        f"{'[green]+[/]' if update.included else '[red]-[/]'} {short(update.client)} "
        f"{short(update.digest)} {update.num_examples}"
        for update in one.updates
    ]


def print_audit(console: Console, report: AuditReport) -> None:
    """Which updates were left out and why, the numbered steps and how each ended, and every finding.

    Sentences and digests stand below the tables and are not wrapped: a narrow terminal folds them, and they can be
    copied whole.
    """
    for one in report.rounds:
        for update in one.updates:
            if update.left_out_because:
                because = shown(update.left_out_because)
                line = f"round {one.round}: {short(update.client)} was left out: {because}"
                console.print(line, soft_wrap=True, style="red", markup=False, highlight=False)
    table = Table(
        title=f"Audit of task {report.task}: {report.verdict}",
        title_justify="left",
        box=box.SIMPLE,
        pad_edge=False,
    )
    table.add_column("step")
    table.add_column("what")
    table.add_column("status")
    for step, status in report.statuses.items():
        table.add_row(step, STEPS[step], f"[{_STATUS_STYLES[status]}]{status.value}[/]")
    console.print(table)
    for step, reasons in report.reasons.items():
        for reason in reasons:
            console.print(
                f"{step}: not reached: {shown(reason)}",
                soft_wrap=True,
                style="yellow",
                markup=False,
            )
    for finding in report.findings:
        console.print(_finding_text(finding), soft_wrap=True, style="red", markup=False)


def print_digests(console: Console, rounds: Sequence[AuditedRound]) -> None:
    """Each round's model by its whole digest, in the lines of `ganchor simulate`, to be compared and copied."""
    for one in rounds:
        console.print(f"round {one.round}: {one.aggregate_digest}", soft_wrap=True, highlight=False)


def print_head(console: Console, head: str) -> None:
    """The history head, whole, to be kept, and compared by `ganchor audit --expect-head`."""
    console.print(f"history head {head}", soft_wrap=True, highlight=False)


def _finding_text(finding: Finding) -> str:
    named = [
        f"{name} {value}"
        for name in ("round", "client", "digest")
        if (value := getattr(finding, name)) is not None
    ]
    lines = [f"{finding.step}: {', '.join([*named, shown(finding.message)])}"]
    if finding.expected is not None:
        lines.append(f"    expected {shown(finding.expected)}")
    if finding.actual is not None:
        lines.append(f"    found    {shown(finding.actual)}")
    return "\n".join(lines)
