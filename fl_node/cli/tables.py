"""What people see of rounds and audits: tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from chain.text import shown
from fl_node.audit.report import (
    STEPS,
    AuditedRound,
    AuditReport,
    Cosigned,
    Finding,
    InBlock,
    Status,
)
from fl_node.cli.words import loss, metrics_line, short, time_text

_STATUS_STYLES = {Status.CLEAN: "green", Status.FINDINGS: "red", Status.NOT_REACHED: "yellow"}


def rounds_table(
    rounds: Sequence[AuditedRound],
    gas: Mapping[int, int] | None = None,
    held_out: str = "held-out loss",
) -> Table:
    """One row for each round: aggregate, updates, which of them were included, losses, metrics, gas and seconds.

    Args:
        rounds: From an audit.
        gas: Total gas of each round, by its number; None draws no column.
        held_out: The title of the column with the held-out loss.
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
    measured = any(audited.metrics for audited in rounds)
    if measured:
        table.add_column("metrics")
    if gas is not None:
        table.add_column("gas", justify="right")
    table.add_column("s", justify="right")
    for audited in rounds:
        cells = [
            str(audited.round),
            short(audited.aggregate_digest),
            "\n".join(_update_lines(audited)) or "declined by all",
            loss(audited.training_loss),
            loss(audited.held_out_loss),
        ]
        if measured:
            cells.append(metrics_line(audited.metrics or {}).replace(", ", "\n"))
        if gas is not None:
            cells.append(f"{gas.get(audited.round, 0):,}")
        table.add_row(*cells, str(audited.finalised_at - audited.opened_at))
    return table


def _update_lines(audited: AuditedRound) -> list[str]:
    return [
        f"{'[green]+[/]' if update.included else '[red]-[/]'} {short(update.client)} "
        f"{short(update.digest)} {update.num_examples}"
        for update in audited.updates
    ]


def print_audit(console: Console, report: AuditReport) -> None:
    """Print which updates were left out and why, the outcome of each step, and every finding.

    Sentences and digests are printed below the tables and not wrapped, so they can be copied whole even from a narrow
    terminal.
    """
    for audited in report.rounds:
        for update in audited.updates:
            if update.left_out_because:
                because = shown(update.left_out_because)
                line = f"round {audited.round}: {short(update.client)} was left out: {because}"
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
    """Print the whole digest of each round's model, in the same lines as `ganchor simulate`."""
    for audited in rounds:
        console.print(
            f"round {audited.round}: {audited.aggregate_digest}", soft_wrap=True, highlight=False
        )


def print_head(console: Console, head: str) -> None:
    """Print the whole history head, which `ganchor audit --expect-head` compares."""
    console.print(f"history head {head}", soft_wrap=True, highlight=False)


def print_cosigned(console: Console, cosigned: Sequence[Cosigned]) -> None:
    """Print who has signed which point of the history; what nobody gave the key for is not green."""
    for one in cosigned:
        at, name = time_text(one.time), shown(one.witness)
        line = f"cosigned by {name} at {at}: event {one.events}, head {one.head}"
        if not one.checked:
            line = f"not checked, give its key with --witness: {line}"
        style = "green" if one.checked else "yellow"
        console.print(line, soft_wrap=True, highlight=False, markup=False, style=style)


def print_in_block(console: Console, in_block: InBlock | None) -> None:
    """Print which block holds the history head; a block that the user did not name is not green."""
    if in_block is None:
        return
    at = f"block {in_block.number} of {time_text(in_block.time)}, {in_block.block}"
    line = f"this head is in {at}"
    if not in_block.trusted:
        line = f"not checked, compare the block's hash with a chain that you trust: {line}"
    style = "green" if in_block.trusted else "yellow"
    console.print(line, soft_wrap=True, highlight=False, markup=False, style=style)


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
