"""`ganchor devnet`, `deploy`, `key` and `status`: what touches only the chain."""

from __future__ import annotations

import json
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from chain.accounts import address_of, create_keystore, open_keystore, to_address
from chain.connection import chain_id_at
from chain.deploy import deploy as put_on_chain
from chain.deploy import write_deployment
from chain.types import Address, Phase
from chain.web3_ledger import Web3Ledger
from fl_node.cli import options, wiring
from fl_node.cli.tables import status_table
from fl_node.errors import Misuse
from fl_node.member.joining import members_of

WATCH_SECONDS = 1.0


class Engine(StrEnum):
    """What runs the local test chain."""

    eth_tester = "eth-tester"
    anvil = "anvil"


def devnet(
    database: Annotated[
        Path, typer.Option(help="The chain's file. Start again with the same file to go on.")
    ] = Path("chain.sqlite"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port.")] = (
        options.DEVNET_PORT
    ),
    chain_id: Annotated[int, typer.Option(min=1, help="Chain id.")] = options.DEVNET_CHAIN_ID,
    fund: Annotated[
        list[str] | None,
        typer.Option(help="Address that is given 1000 test ether; repeat for several."),
    ] = None,
    engine: Annotated[Engine, typer.Option(help="anvil must be installed.")] = Engine.eth_tester,
) -> None:
    """Run the local test chain on 127.0.0.1 until it is stopped. Prints a line of JSON when it is ready."""
    from chain import devnet as local_chain  # py-evm, which no other command needs to load

    funded = [_address(text) for text in fund or []]
    if engine is Engine.anvil:
        if funded:
            raise Misuse("--fund works with the eth-tester engine only; anvil has funded accounts")
        local_chain.serve_anvil(database, port=port, chain_id=chain_id)
    local_chain.serve(database, port=port, chain_id=chain_id, fund=funded)


def deploy(
    keystore: options.Keystore = None,
    password_file: options.PasswordFile = None,
    rpc_url: options.RpcUrl = options.DEFAULT_RPC_URL,
    deployment: options.DeploymentFile = options.DEFAULT_DEPLOYMENT,
    as_json: options.Json = False,
) -> None:
    """Deploy the training ledger from the committed artifact and write deployment.json."""
    signer = wiring.open_signer(keystore, password_file, chain_id_at(rpc_url))
    deployed = put_on_chain(rpc_url, signer)
    write_deployment(deployment, deployed)
    if as_json:
        typer.echo(deployment.read_text())
    else:
        Console().print(
            f"deployed to [bold]{deployed.address}[/] on chain {deployed.chain_id} in block "
            f"{deployed.block}; code verified; wrote {deployment}",
            soft_wrap=True,
        )


key_app = typer.Typer(help="Make and look at encrypted keystores.", no_args_is_help=True)


@key_app.command("new")
def key_new(
    file: Annotated[Path, typer.Argument(help="Where to write the keystore.")],
    password_file: options.PasswordFile = None,
) -> None:
    """Make a new account, encrypted with a password, and print its address."""
    typer.echo(create_keystore(file, wiring.new_password(password_file)))


@key_app.command("address")
def key_address(
    file: Annotated[Path, typer.Argument(help="The keystore.")],
    password_file: options.PasswordFile = None,
) -> None:
    """Print the address of a keystore, which also checks its password."""
    typer.echo(address_of(open_keystore(file, wiring.password(password_file))))


def status(
    task: options.Task = 1,
    rpc_url: options.RpcUrl = options.DEFAULT_RPC_URL,
    deployment: options.DeploymentFile = options.DEFAULT_DEPLOYMENT,
    watch: Annotated[bool, typer.Option("--watch", help="Keep it live until the end.")] = False,
    as_json: options.Json = False,
) -> None:
    """Show a task at a glance: phase, deadline, who has acted, history head."""
    ledger = wiring.open_ledger(rpc_url, deployment)
    members = members_of(ledger, task)
    if as_json:
        typer.echo(json.dumps(_status_json(ledger, task, members)))
    elif watch:
        with Live(_status_table(ledger, task, members), auto_refresh=False) as live:
            while ledger.task_state(task).phase is not Phase.FINISHED:
                time.sleep(WATCH_SECONDS)
                live.update(_status_table(ledger, task, members), refresh=True)
    else:
        Console().print(_status_table(ledger, task, members))


def _status_table(ledger: Web3Ledger, task: int, members: tuple[Address, ...]) -> Table:
    return status_table(task, ledger.task_state(task), members, ledger.now())


def _status_json(ledger: Web3Ledger, task: int, members: tuple[Address, ...]) -> dict[str, object]:
    state = ledger.task_state(task)
    return {
        "task": task,
        "phase": state.phase.name.lower(),
        "round": state.round,
        "rounds": state.terms.rounds,
        "attempt": state.attempt,
        "deadline": state.deadline,
        "members": {
            member: {
                "eligible": bool(state.eligible >> index & 1),
                "acted": bool(state.acted >> index & 1),
                "absent": bool(state.absent >> index & 1),
            }
            for index, member in enumerate(members)
        },
        "parent_digest": state.parent_digest.hex(),
        "manifest_digest": state.manifest_digest.hex(),
        "history_head": state.history_head.hex(),
    }


def _address(text: str) -> Address:
    try:
        return to_address(text)
    except ValueError as error:
        raise Misuse(f"--fund: {error}") from None
