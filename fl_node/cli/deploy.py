"""`ganchor deploy`: put the contract on a chain."""

from __future__ import annotations

import typer
from rich.console import Console

from chain.connection import chain_id_at
from chain.deploy import deploy as put_on_chain
from chain.deploy import write_deployment
from fl_node.cli import accounts, options, wiring
from fl_node.errors import Misuse


def deploy(
    keystore: options.Keystore = None,
    password_file: options.PasswordFile = None,
    rpc_url: options.RpcUrl = options.DEFAULT_RPC_URL,
    settled: options.Settled = None,
    max_gas_price: options.MaxGasPrice = options.DEFAULT_MAX_GAS_PRICE,
    receipt_timeout: options.ReceiptTimeout = options.DEFAULT_RECEIPT_TIMEOUT,
    deployment: options.DeploymentFile = options.DEFAULT_DEPLOYMENT,
    as_json: options.Json = False,
) -> None:
    """Deploy the contract and write deployment.json. The code on chain is compared with the committed artifact."""
    if deployment.exists():
        raise Misuse(
            f"{deployment} already exists: without it, the tasks of the contract in it cannot be found; "
            "give another --deployment, or move the file away first"
        )
    settling, most = wiring.settling_of(settled), wiring.wei_of(max_gas_price)
    signer = accounts.open_signer(keystore, password_file, chain_id_at(rpc_url))
    deployed = put_on_chain(rpc_url, signer, settling, receipt_timeout, most)
    write_deployment(deployment, deployed)
    if as_json:
        typer.echo(deployment.read_text())
    else:
        Console().print(
            f"deployed to [bold]{deployed.address}[/] on chain {deployed.chain_id} in block "
            f"{deployed.block}; code verified; wrote {deployment}",
            soft_wrap=True,
        )
