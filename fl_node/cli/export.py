"""`ganchor export`: a task's whole history as one file, which outlives its chain and its store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from chain.proofs import Proven, follow
from fl_node.blobs.store import open_store
from fl_node.bundle.writing import Written, write_bundle
from fl_node.cli import options, wiring
from fl_node.cli.words import follow_up
from fl_node.witness.note import read_notes_file

SHOWN_MISSING = 10


def export(
    file: Annotated[Path, typer.Argument(help="The zip file to write.")],
    task: options.Task = 1,
    without_blobs: Annotated[
        bool,
        typer.Option(
            "--without-blobs",
            help="Name the blobs instead of holding them; an audit then reads them from --store.",
        ),
    ] = False,
    cosigned: options.Cosigned = None,
    store: options.StoreUrl = options.DEFAULT_STORE,
    rpc_url: options.RpcUrl = options.DEFAULT_RPC_URL,
    deployment: options.DeploymentFile = options.DEFAULT_DEPLOYMENT,
    workspace: options.WorkspaceFolder = None,
    as_json: options.Json = False,
) -> None:
    """Write a task's whole history into one file, which is audited without chain and store."""
    notes = [note for path in cosigned or () for note in read_notes_file(path)]
    console = Console(stderr=True)
    hidden = as_json or not console.is_terminal
    with (
        wiring.evidence(workspace, rpc_url, deployment, store) as evidence,
        Progress(console=console, disable=hidden, transient=True) as bar,
    ):
        blobs = bar.add_task("reading blobs", total=None)
        ledger = wiring.open_ledger(evidence.rpc_urls, evidence.deployment, task=task)
        written = write_bundle(
            file,
            ledger,
            open_store(evidence.store, must_exist=True),
            task,
            with_blobs=not without_blobs,
            notes=notes,
            prove=ledger.head_proof,
            progress=lambda done, of: bar.update(blobs, completed=done, total=of),
        )
    if as_json:
        typer.echo(json.dumps(to_json(file, written)))
    else:
        _print(file, written, without_blobs)


def to_json(file: Path, written: Written) -> dict[str, object]:
    """What a bundle has become, for machines."""
    state, proven = written.state, proven_by(written)
    return {
        "file": str(file),
        "chain_id": state.chain_id,
        "contract": state.contract,
        "task": state.task,
        "history_head": state.view.history_head.hex(),
        "final_digest": state.view.parent_digest.hex(),
        "events": written.events,
        "blobs": written.blobs,
        "missing": [digest.hex() for digest in written.missing],
        "block": proven.block.hex() if proven else None,
        "unproven": written.unproven,
    }


def proven_by(written: Written) -> Proven | None:
    """What the bundle proves to whoever trusts a block's hash."""
    state = written.state
    return follow(written.proof, state.contract, state.task) if written.proof else None


def _print(file: Path, written: Written, without_blobs: bool) -> None:
    console = Console(soft_wrap=True, highlight=False, markup=False)
    named = "the names of " if without_blobs else ""
    console.print(f"wrote {file}: {written.events} events, {named}{written.blobs} blobs")
    for reason in [*written.missing.values()][:SHOWN_MISSING]:
        console.print(f"missing: {reason}")
    if len(written.missing) > SHOWN_MISSING:
        console.print(f"missing: {len(written.missing) - SHOWN_MISSING} more")
    proven = proven_by(written)
    if proven:
        console.print(f"its head is in block {proven.number}, {proven.block.hex()}")
    else:
        console.print(f"no proof that a block holds its head: {written.unproven}")
    head = written.state.view.history_head.hex()
    console.print(f"audit it: {follow_up(f'audit --bundle {file} --expect-head {head}')}")
