"""`ganchor tasks`: all tasks of the contract."""

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
from fl_node.blobs.store import Store, open_store
from fl_node.cli import options, wiring
from fl_node.errors import BadData, StoreUnusable
from fl_node.manifest.manifest import MAX_MANIFEST_BYTES, parse_manifest


@dataclass(frozen=True, slots=True)
class Listed:
    """One task: its number, its manifest's name (None where the store does not have it), and how far it is."""

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
    """List the contract's tasks: number, name, members, phase, round. Names come from the store, if it is at hand."""
    with wiring.evidence(workspace, rpc_url, deployment, store) as place:
        ledger = wiring.open_ledger(place.rpc_url, place.deployment)
        listed = list_tasks(ledger, _store_at_hand(place.store))
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in listed]))
    else:
        Console().print(_table(listed) if listed else "no task has been opened yet")


def list_tasks(ledger: Ledger, store: Store | None) -> list[Listed]:
    """All tasks, in the order of their numbers."""
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


def _store_at_hand(url: str) -> Store | None:
    try:
        return open_store(url, must_exist=True)
    except StoreUnusable:
        return None


def _table(listed: list[Listed]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    for heading in ("task", "name", "members", "phase", "round"):
        table.add_column(heading, justify="left" if heading in ("name", "phase") else "right")
    for one in listed:
        name = "not in the store" if one.name is None else escape(shown(one.name))
        style = "dim" if one.phase == Phase.FINISHED.name.lower() else ""
        cells = (name, str(one.members), one.phase, f"{one.round} of {one.rounds}")
        table.add_row(str(one.task), *cells, style=style)
    return table
