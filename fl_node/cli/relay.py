"""`ganchor relay`: send the signed acts of members who have no ether, and pay for them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Protocol

import typer
from rich.console import Console

from chain.deploy import read_deployment
from chain.errors import LedgerError
from chain.relay.limits import Caps, Purse
from chain.relay.posting import WAIT_SECONDS, Posted
from chain.relay.relayer import Relayer
from chain.relay.server import serve
from chain.text import shown
from chain.types import Address
from fl_node.cli import accounts, options, wiring
from fl_node.history.members import members_of

RELAY_PORT = 8547
DEFAULT_CAPS = Caps()

Tasks = Annotated[
    list[int],
    typer.Option("--task", min=1, help="A task whose members are served; repeat for several."),
]
Host = Annotated[
    str, typer.Option("--host", help="Address to listen on. Put TLS in front of a public one.")
]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")]
Wait = Annotated[
    float,
    typer.Option(
        "--wait",
        min=0,
        help="Seconds that an act waits at most for others to share its transaction.",
    ),
]
GasPerTask = Annotated[int, typer.Option(min=0, help="The most gas for a task, in all.")]
GasPerDay = Annotated[int, typer.Option(min=0, help="The most gas in a day (UTC), in all.")]
Book = Annotated[
    Path,
    typer.Option("--book", help="File with the gas spent so far, so that a restart forgives none."),
]


def relay(
    task: Tasks = [1],  # noqa: B006 - typer copies a list
    keystore: options.Keystore = None,
    password_file: options.PasswordFile = None,
    rpc_url: options.RpcUrl = options.DEFAULT_RPC_URL,
    confirm: options.Confirm = False,
    max_gas_price: options.MaxGasPrice = options.DEFAULT_MAX_GAS_PRICE,
    receipt_timeout: options.ReceiptTimeout = options.DEFAULT_RECEIPT_TIMEOUT,
    deployment: options.DeploymentFile = options.DEFAULT_DEPLOYMENT,
    host: Host = "127.0.0.1",
    port: Port = RELAY_PORT,
    wait: Wait = WAIT_SECONDS,
    gas_per_task: GasPerTask = DEFAULT_CAPS.task,
    gas_per_day: GasPerDay = DEFAULT_CAPS.day,
    book: Book = Path("relay-book.json"),
    log_format: options.Log = options.LogFormat.text,
) -> None:
    """Send the signed acts of members without ether, and pay for them. Stopped, it posts what it has at hand."""
    deployed = read_deployment(deployment)
    signer = accounts.open_signer(keystore, password_file, deployed.chain_id)
    purse = Purse(Caps(gas_per_task, gas_per_day), book)
    manners = wiring.Manners(confirm, max_gas_price=max_gas_price, receipt_timeout=receipt_timeout)
    posting = wiring.connect(rpc_url, deployed, signer, manners=manners)
    for number in task:
        wiring.verify_task(posting, number)
    shown_as: Display = JsonDisplay() if log_format is options.LogFormat.json else TextDisplay()
    relayer = Relayer(
        wiring.connect(rpc_url, deployed, manners=manners),
        posting,
        {number: members_of(posting, number) for number in task},
        purse,
        wait,
        shown_as.notice,
    )
    serve(relayer, host, port, lambda url: shown_as.ready(url, posting.account, task))


class Display(Protocol):
    """Shows what the relay does."""

    def ready(self, url: str, account: Address, tasks: Sequence[int]) -> None:
        """The relay answers requests."""

    def notice(self, outcome: Posted | LedgerError) -> None:
        """It posted a transaction, or waits out an error."""


class TextDisplay:
    """Prints lines for people."""

    def __init__(self) -> None:
        self._console = Console()

    def ready(self, url: str, account: Address, tasks: Sequence[int]) -> None:
        which = ", ".join(map(str, tasks))
        self._console.print(f"relay for task {which} at {url}; {account} pays", soft_wrap=True)

    def notice(self, outcome: Posted | LedgerError) -> None:
        if isinstance(outcome, Posted):
            receipt, counts = outcome.receipt, outcome.functions.items()
            acts = ", ".join(f"{count} {function}" for function, count in counts)
            self._console.print(
                f"task {outcome.task}: posted {acts} "
                f"(block {receipt.block_number}, {receipt.gas_used:,} gas)",
                soft_wrap=True,
            )
        else:
            text = f"waiting: {shown(outcome)}"
            self._console.print(text, style="yellow", markup=False, soft_wrap=True)


class JsonDisplay:
    """Prints the same as JSON lines."""

    def ready(self, url: str, account: Address, tasks: Sequence[int]) -> None:
        self._print(event="ready", url=url, account=account, tasks=[*tasks])

    def notice(self, outcome: Posted | LedgerError) -> None:
        if isinstance(outcome, Posted):
            receipt = outcome.receipt
            self._print(
                event="posted",
                task=outcome.task,
                acts=dict(outcome.functions),
                block=receipt.block_number,
                gas=receipt.gas_used,
                transaction=receipt.transaction and "0x" + receipt.transaction.hex(),
            )
        else:
            self._print(event="waiting", reason=shown(outcome))

    def _print(self, **values: object) -> None:
        sys.stdout.write(json.dumps(values) + "\n")
        sys.stdout.flush()
