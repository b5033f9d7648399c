"""What people see of a node: a line for each action, and a bar while it trains."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from chain.text import shown
from chain.types import Receipt
from fl_node.cli.node.awaiting import Awaited
from fl_node.cli.node.display import Said, Serving, Started, Stopping, Training, Untracked, facts_of
from fl_node.cli.tables import print_head
from fl_node.cli.words import short
from fl_node.member.next_action import Action
from fl_node.member.participant import Step
from fl_node.member.uplink import Slow
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

    def show(self, said: Said) -> None:
        """Print what the node says."""
        match said:
            case Serving():
                self._console.print(f"metrics at {said.url}/metrics", highlight=False)
            case Started():
                self._console.print(f"member {said.account} of task {said.task}")
                self._console.print(f"loading {shown(said.data) or 'its data'}", markup=False)
            case Training():
                self._progress(said)
            case Step():
                self._step(said)
            case Slow():
                self._slow(said)
            case Awaited():
                self._console.print(str(said), soft_wrap=True, highlight=False, style="dim")
            case DryRun():
                self._tried(said)
            case Untracked():
                why = f"--log-to has failed, and the node goes on without: {shown(said.why)}"
                self._console.print(why, style="yellow", markup=False, soft_wrap=True)
            case Stopping():
                self._console.print("stopped; started again, it continues where it was")
            case Exception():
                self._trouble(shown(said))

    def _tried(self, run: DryRun) -> None:
        for name, value in facts_of(run).items():
            self._console.print(
                f"{name.replace('_', ' '):14} {value}", markup=False, soft_wrap=True
            )
        for objection in run.objections:
            self._console.print(shown(objection), markup=False, soft_wrap=True, style="red")
        self._console.print("this was a dry run: nothing was sent, nothing was kept")

    def _progress(self, training: Training) -> None:
        self._bar.update(
            self._training,
            completed=training.step,
            total=training.steps,
            losses=" ".join(f"{name} {value:.3f}" for name, value in training.losses.items()),
            visible=training.step < training.steps,
        )

    def _trouble(self, error: str) -> None:
        if error != self._last_error:
            self._console.print(f"waiting: {error}", style="yellow", markup=False)
        self._last_error = error

    def _step(self, step: Step) -> None:
        self._last_error = ""
        if step.action is Action.FINISHED:
            self._console.print(
                f"[green]task finished[/]: final model {step.state.parent_digest.hex()}",
                soft_wrap=True,
            )
            print_head(self._console, step.state.history_head.hex())
        elif step.receipt is not None:
            self._console.print(
                f"round {step.state.round}: {_DONE[step.action]}{_because(step)} "
                f"(block {step.receipt.block_number}, {step.receipt.gas_used:,} gas) "
                f"{_transaction(step.receipt)}"
            )
            if step.slow:
                self._slow(step.slow)

    def _slow(self, slow: Slow) -> None:
        self._console.print(f"slow uplink: {slow}", style="yellow", markup=False, soft_wrap=True)


def _because(step: Step) -> str:
    return f", {escape(shown(step.reason))}" if step.reason else ""


def _transaction(receipt: Receipt) -> str:
    return short("0x" + receipt.transaction.hex()) if receipt.transaction else ""
