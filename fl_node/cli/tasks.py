"""`ganchor tasks`: list the contract's tasks."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from chain.ledger import Ledger
from chain.text import shown
from chain.types import Phase, TaskState
from fl_node.blobs.store import Store, store_at_hand
from fl_node.cli import options, wiring
from fl_node.errors import BadData, StoreUnusable
from fl_node.manifest.manifest import MAX_MANIFEST_BYTES, parse_manifest


@dataclass(frozen=True, slots=True)
class Listed:
    """One task: its number, its manifest's name (None if the manifest is not in the store), and its progress."""

    task: int
    name: str | None
    members: int
    phase: str
    round: int
    rounds: int


def tasks(
    store: options.StoreUrl = options.DEFAULT_STORE,
    rpc_url: options.RpcUrl = options.DEFAULT_RPC_URL,
    deployment: options.DeploymentFile = options.DEFAULT_DEPLOYMENT,
    workspace: options.WorkspaceFolder = None,
    as_json: options.Json = False,
) -> None:
    """List the contract's tasks: number, name, members, phase, round. Names come from the store, if there is one."""
    with wiring.evidence(workspace, rpc_url, deployment, store) as evidence:
        ledger = wiring.open_ledger(evidence.rpc_urls, evidence.deployment)
        listed = list_tasks(ledger, store_at_hand(evidence.store))
    if as_json:
        typer.echo(json.dumps([asdict(task) for task in listed]))
    else:
        Console().print(_table(listed) if listed else "no task has been opened yet")


def list_tasks(ledger: Ledger, store: Store | None) -> list[Listed]:
    """All tasks, in ascending order of their numbers."""
    return [
        _listed(task, ledger.task_state(task), store) for task in range(1, ledger.task_count() + 1)
    ]


def _listed(task: int, state: TaskState, store: Store | None) -> Listed:
    return Listed(
        task=task,
        name=_name(state.manifest_digest, store),
        members=state.member_count,
        phase=state.phase.name.lower(),
        round=state.round,
        rounds=state.terms.rounds,
    )


def _name(digest: bytes, store: Store | None) -> str | None:
    if store is None:
        return None
    try:
        return parse_manifest(bytes(store.get(digest, MAX_MANIFEST_BYTES))).name
    except (BadData, StoreUnusable):
        return None


def _table(listed: list[Listed]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    for heading in ("task", "name", "members", "phase", "round"):
        table.add_column(heading, justify="left" if heading in ("name", "phase") else "right")
    for task in listed:
        name = "not in the store" if task.name is None else escape(shown(task.name))
        style = "dim" if task.phase == Phase.FINISHED.name.lower() else ""
        cells = (name, str(task.members), task.phase, f"{task.round} of {task.rounds}")
        table.add_row(str(task.task), *cells, style=style)
    return table
