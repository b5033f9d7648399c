"""`ganchor status`: show a task's current state."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from chain.errors import HistoryInvalid
from chain.types import Address, Phase, TaskState
from chain.web3_ledger import Web3Ledger
from fl_node.blobs.metrics import metrics_to_json
from fl_node.cli import options, wiring
from fl_node.cli.words import follow_up, metrics_line
from fl_node.history.members import members_of

if TYPE_CHECKING:
    from fl_node.round.measured import MeasuredRound

WATCH_SECONDS = 1.0
MEMBERSHIPS = ("cohort", "awaited", "committed", "revealed", "absent")


def status(
    task: options.Task = 1,
    store: options.StoreUrl = options.DEFAULT_STORE,
    rpc_url: options.RpcUrl = options.DEFAULT_RPC_URL,
    deployment: options.DeploymentFile = options.DEFAULT_DEPLOYMENT,
    workspace: options.WorkspaceFolder = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Keep updating until the task is finished.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Show a task: phase, deadline, and who has acted; also the current model and the history head.

    If the store is at hand and the task measures something, it also shows the last round's means, weighted by examples.
    """
    with wiring.evidence(workspace, rpc_url, deployment, store) as evidence:
        ledger = wiring.open_ledger(evidence.rpc_urls, evidence.deployment, task=task)
        members = members_of(ledger, task)
        if watch and not as_json:
            _watch(ledger, task, members)
            return
        measured = _measured(ledger, task, evidence.store)
        if as_json:
            typer.echo(json.dumps(_status_json(ledger, task, members, measured)))
        else:
            look = ledger.look(task)
            Console().print(status_table(task, look.state, members, look.now, measured))


def _measured(ledger: Web3Ledger, task: int, store: str) -> MeasuredRound | None:
    """What the last final round measured; None without a store, or if it has nothing of that."""
    # Imports numpy, the store and the manifest, for which a look at the chain alone must not wait.
    from fl_node.blobs.store import store_at_hand
    from fl_node.cli.cached import cached_log
    from fl_node.round.measured import measured_rounds

    at_hand = store_at_hand(store)
    if at_hand is None:
        return None
    state = ledger.task_state(task)
    try:
        with cached_log(ledger, task) as kept, kept.read_to(state.history_head) as log:
            last = list(islice(log.last_final_rounds(), 1))
    except HistoryInvalid:
        return None  # The log lags behind the state, which is what was asked for.
    return next(iter(measured_rounds(at_hand, state, last)), None)


def _watch(ledger: Web3Ledger, task: int, members: tuple[Address, ...]) -> None:
    with Live(_status_table(ledger, task, members), auto_refresh=False) as live:
        while ledger.task_state(task).phase is not Phase.FINISHED:
            time.sleep(WATCH_SECONDS)
            live.update(_status_table(ledger, task, members), refresh=True)


def _status_table(ledger: Web3Ledger, task: int, members: tuple[Address, ...]) -> Group:
    look = ledger.look(task)
    return status_table(task, look.state, members, look.now)


def _status_json(
    ledger: Web3Ledger, task: int, members: tuple[Address, ...], measured: MeasuredRound | None
) -> dict[str, object]:
    state = ledger.task_state(task)
    return {
        "task": task,
        "phase": state.phase.name.lower(),
        "round": state.round,
        "rounds": state.terms.rounds,
        "attempt": state.attempt,
        "deadline": state.deadline,
        "members": {
            member: {name: bool(getattr(state, name) >> index & 1) for name in MEMBERSHIPS}
            for index, member in enumerate(members)
        },
        "parent_digest": state.parent_digest.hex(),
        "manifest_digest": state.manifest_digest.hex(),
        "history_head": state.history_head.hex(),
        "measured": measured
        and {"round": measured.round, "metrics": metrics_to_json(measured.metrics)},
    }


def status_table(
    task: int,
    state: TaskState,
    members: Sequence[Address],
    now: int | None = None,
    measured: MeasuredRound | None = None,
) -> Group:
    """A task's phase and deadline and who has acted; below the table, its digests, which can be copied."""
    left = state.deadline - (int(time.time()) if now is None else now)
    table = Table(title=f"Task {task}", title_justify="left", show_header=False, box=box.SIMPLE)
    table.add_column()
    table.add_column(overflow="fold")
    table.add_row("phase", state.phase.name.lower())
    table.add_row("round", f"{state.round} of {state.terms.rounds}, attempt {state.attempt + 1}")
    if state.phase is not Phase.FINISHED:
        table.add_row("deadline", _deadline(task, left))
        table.add_row("members", "\n".join(_member_lines(state, members)))
    if measured is not None:
        table.add_row(
            "measured",
            f"{metrics_line(metrics_to_json(measured.metrics))} (round {measured.round})",
        )
    digests = {
        "current model": state.parent_digest,
        "manifest": state.manifest_digest,
        "history head": state.history_head,
    }
    lines = [f"{name:13} {digest.hex()}" for name, digest in digests.items()]
    return Group(table, *(Text(line, no_wrap=True, overflow="ignore") for line in lines))


def _deadline(task: int, left: int) -> str:
    if left >= 0:
        return f"in {left} s"
    by_hand = follow_up(f"advance --task {task} --keystore FILE")
    return f"passed {-left} s ago; the next node to look ends the phase, or anybody can: {by_hand}"


def _member_lines(state: TaskState, members: Sequence[Address]) -> list[str]:
    return [f"{member} {_did(state, 1 << index)}" for index, member in enumerate(members)]


def _did(state: TaskState, bit: int) -> str:
    word, who = _done(state)
    if state.awaited & bit:
        return "[yellow]expected[/]"
    if who & bit:
        return f"[green]{word}[/]"
    return "absent" if state.absent & bit else "not in this phase"


def _done(state: TaskState) -> tuple[str, int]:
    """What the members do in this phase, and who has done it."""
    match state.phase:
        case Phase.COMMIT:
            return "committed", state.committed
        case Phase.REVEAL:
            return "revealed", state.revealed
        case _:
            return "attested", state.cohort & ~state.absent
