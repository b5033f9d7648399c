"""`ganchor task open`: put a manifest's task on chain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from chain.deploy import read_deployment
from fl_node.blobs.store import open_store
from fl_node.cli import options, wiring
from fl_node.manifest.manifest import read_manifest
from fl_node.member.opening import open_task as put_on_chain

task_app = typer.Typer(help="Open tasks.", no_args_is_help=True)


@task_app.callback()
def _group() -> None:
    """Keep `open` a sub-command although it is the only one."""


@task_app.command("open")
def open_task(
    manifest_file: Annotated[
        Path, typer.Argument(metavar="MANIFEST", help="The manifest, in TOML.")
    ],
    store: options.StoreUrl = options.DEFAULT_STORE,
    keystore: options.Keystore = None,
    password_file: options.PasswordFile = None,
    rpc_url: options.RpcUrl = options.DEFAULT_RPC_URL,
    deployment: options.DeploymentFile = options.DEFAULT_DEPLOYMENT,
    as_json: options.Json = False,
) -> None:
    """Open a task: store its manifest and genesis model, and record their digests on chain."""
    from fl_node.learning.task import derive_genesis

    manifest = read_manifest(manifest_file)
    deployed = read_deployment(deployment)
    signer = wiring.open_signer(keystore, password_file, deployed.chain_id)
    ledger = wiring.connect(rpc_url, deployed, signer)
    task = put_on_chain(ledger, open_store(store), manifest, derive_genesis(manifest))
    opened = {
        "task": task.task,
        "manifest_digest": task.manifest_digest.hex(),
        "genesis_digest": task.genesis_digest.hex(),
        "block": task.block_number,
        "gas": task.gas_used,
    }
    if as_json:
        typer.echo(json.dumps(opened))
    else:
        Console().print(
            f"opened task [bold]{task.task}[/] with {len(manifest.members)} members and "
            f"{manifest.rounds.count} rounds\nmanifest {opened['manifest_digest']}\n"
            f"genesis  {opened['genesis_digest']}"
        )
