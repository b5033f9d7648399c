"""What people see of a node: a line for each action, and a bar while it trains."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from chain.text import shown
from chain.types import Receipt
from fl_node.cli.node.awaiting import Awaited
from fl_node.cli.node.display import facts_of
from fl_node.cli.tables import print_head
from fl_node.cli.words import short
from fl_node.member.next_action import Action
from fl_node.member.participant import Step
from fl_node.round.dry_run import DryRun

_DONE = {
    Action.COMMIT: "committed",
    Action.SKIP: "declined",
    Action.REVEAL: "revealed",
    Action.ATTEST: "attested",
    Action.ADVANCE: "ended an overdue phase",
    Action.REJOIN: "rejoined",
    Action.FINISHED: "finished",
}


class PeopleDisplay:
    """Prints a line for each action, and a bar while training."""

    def __init__(self) -> None:
        self._console = Console()
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} steps {task.fields[losses]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._training = self._bar.add_task("training", total=None, visible=False, losses="")
        self._last_error = ""

    def __enter__(self) -> PeopleDisplay:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def started(self, account: str, task: int, data: str) -> None:
        self._console.print(f"member {account} of task {task}")
        self._console.print(f"loading {shown(data) or 'its data'}", markup=False)

    def tried(self, run: DryRun) -> None:
        for name, value in facts_of(run).items():
            self._console.print(
                f"{name.replace('_', ' '):14} {value}", markup=False, soft_wrap=True
            )
        for objection in run.objections:
            self._console.print(shown(objection), markup=False, soft_wrap=True, style="red")
        self._console.print("this was a dry run: nothing was sent, nothing was kept")

    def awaiting(self, awaited: Awaited) -> None:
        self._console.print(str(awaited), soft_wrap=True, highlight=False, style="dim")

    def progress(self, step: int, steps: int, losses: dict[str, float]) -> None:
        text = " ".join(f"{name} {value:.3f}" for name, value in losses.items())
        self._bar.update(
            self._training, completed=step, total=steps, losses=text, visible=step < steps
        )

    def notice(self, outcome: Step | Exception) -> None:
        if isinstance(outcome, Exception):
            error = shown(outcome)
            if error != self._last_error:
                self._console.print(f"waiting: {error}", style="yellow", markup=False)
            self._last_error = error
            return
        self._last_error = ""
        if outcome.action is Action.FINISHED:
            self._console.print(
                f"[green]task finished[/]: final model {outcome.state.parent_digest.hex()}",
                soft_wrap=True,
            )
            print_head(self._console, outcome.state.history_head.hex())
        elif outcome.receipt is not None:
            self._console.print(
                f"round {outcome.state.round}: {_DONE[outcome.action]}{_because(outcome)} "
                f"(block {outcome.receipt.block_number}, {outcome.receipt.gas_used:,} gas) "
                f"{_transaction(outcome.receipt)}"
            )


def _because(step: Step) -> str:
    return f", {escape(shown(step.reason))}" if step.reason else ""


def _transaction(receipt: Receipt) -> str:
    return short("0x" + receipt.transaction.hex()) if receipt.transaction else ""
