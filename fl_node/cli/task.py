"""`ganchor task open`: put a manifest's task on chain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from chain.deploy import read_deployment
from fl_node.arrays import Arrays
from fl_node.blobs.store import Store, open_store
from fl_node.cli import accounts, options, wiring
from fl_node.manifest.code_learners import CodeLearner
from fl_node.manifest.packing import Draft, read_draft
from fl_node.member.opening import open_task as put_on_chain
from fl_node.member.own_code import completed, genesis_of


def open_task(
    manifest_file: Annotated[
        Path, typer.Argument(metavar="MANIFEST", help="The manifest, in TOML.")
    ],
    store: options.StoreUrl = options.DEFAULT_STORE,
    keystore: options.Keystore = None,
    password_file: options.PasswordFile = None,
    rpc_url: options.RpcUrl = options.DEFAULT_RPC_URL,
    settled: options.Settled = None,
    max_gas_price: options.MaxGasPrice = options.DEFAULT_MAX_GAS_PRICE,
    receipt_timeout: options.ReceiptTimeout = options.DEFAULT_RECEIPT_TIMEOUT,
    deployment: options.DeploymentFile = options.DEFAULT_DEPLOYMENT,
    as_json: options.Json = False,
) -> None:
    """Open a task from a manifest: store it and the genesis model, and record the digests of both on chain.

    Code and a first model that the manifest names by their paths are packed and stored, too.
    """
    draft = read_draft(manifest_file)
    deployed = read_deployment(deployment)
    signer = accounts.open_signer(keystore, password_file, deployed.chain_id)
    manners = wiring.Manners(
        settled=settled, max_gas_price=max_gas_price, receipt_timeout=receipt_timeout
    )
    ledger = wiring.connect(rpc_url, deployed, signer, manners=manners, lasting=True)
    blobs = open_store(store)
    draft = completed(draft)
    manifest, genesis = draft.manifest, _genesis(draft, blobs)
    for blob in draft.blobs:
        blobs.put(blob)
    task = put_on_chain(ledger, blobs, manifest, genesis)
    learner = manifest.learner
    code = {"code_digest": learner.code} if isinstance(learner, CodeLearner) else {}
    opened = {
        "task": task.task,
        "manifest_digest": task.manifest_digest.hex(),
        "genesis_digest": task.genesis_digest.hex(),
        "block": task.block_number,
        "gas": task.gas_used,
        **code,
    }
    if as_json:
        typer.echo(json.dumps(opened))
    else:
        Console().print(
            f"opened task [bold]{task.task}[/] with {len(manifest.members)} members and "
            f"{manifest.rounds.count} rounds\nmanifest {opened['manifest_digest']}\n"
            f"genesis  {opened['genesis_digest']}",
            soft_wrap=True,
        )
        for digest in code.values():
            Console().print(
                f"code     {digest}\nEach member reads it, and starts its node with --allow-code {digest}",
                soft_wrap=True,
            )


def _genesis(draft: Draft, store: Store) -> Arrays:
    """The global state that the task starts from; a learner of this package derives it from the seed."""
    learner = draft.manifest.learner
    if isinstance(learner, CodeLearner):
        return genesis_of(draft, learner, store)
    from fl_node.learning.task import derive_genesis

    return derive_genesis(draft.manifest)
