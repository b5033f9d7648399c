"""`ganchor task open`: put a manifest's task on chain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from chain.deploy import read_deployment
from fl_node.blobs.store import open_store
from fl_node.cli import accounts, options, wiring
from fl_node.manifest.manifest import read_manifest
from fl_node.member.opening import open_task as put_on_chain


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
    """Open a task from a manifest: store it and the genesis model, and record the digests of both on chain."""
    from fl_node.learning.task import derive_genesis

    manifest = read_manifest(manifest_file)
    deployed = read_deployment(deployment)
    signer = accounts.open_signer(keystore, password_file, deployed.chain_id)
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
