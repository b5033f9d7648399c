"""`ganchor advance`: end a phase whose deadline has passed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import typer
from rich.console import Console

from chain.deploy import read_deployment
from chain.ledger import Ledger
from chain.types import Address, Phase
from fl_node.cli import accounts, options, wiring
from fl_node.errors import Misuse
from fl_node.history.members import members_of
from fl_node.history.record import members_in


@dataclass(frozen=True, slots=True)
class Ended:
    """A phase that was ended: the members that did not act in it, the next phase, and the gas that ending it cost."""

    task: int
    round: int
    phase: str
    missing: tuple[Address, ...]
    next_phase: str
    next_round: int
    block: int
    gas: int


def advance(
    task: options.Task = 1,
    keystore: options.Keystore = None,
    password_file: options.PasswordFile = None,
    rpc_url: options.RpcUrl = options.DEFAULT_RPC_URL,
    confirm: options.Confirm = False,
    settled: options.Settled = None,
    max_gas_price: options.MaxGasPrice = options.DEFAULT_MAX_GAS_PRICE,
    receipt_timeout: options.ReceiptTimeout = options.DEFAULT_RECEIPT_TIMEOUT,
    deployment: options.DeploymentFile = options.DEFAULT_DEPLOYMENT,
    as_json: options.Json = False,
) -> None:
    """End a phase whose deadline has passed, and show who did not act. Any account may; nodes also do it themselves."""
    deployed = read_deployment(deployment)
    signer = accounts.open_signer(keystore, password_file, deployed.chain_id)
    manners = wiring.Manners(confirm, settled, max_gas_price, receipt_timeout)
    ledger = wiring.connect(rpc_url, deployed, signer, task, manners=manners, lasting=True)
    ended = end_overdue_phase(ledger, task)
    if as_json:
        typer.echo(json.dumps(asdict(ended)))
        return
    missing = ", ".join(ended.missing) or "nobody"
    Console().print(
        f"ended the {ended.phase} phase of round {ended.round}; missing: {missing}\n"
        f"next: {ended.next_phase} of round {ended.next_round} "
        f"(block {ended.block}, {ended.gas:,} gas)",
        soft_wrap=True,
    )


def end_overdue_phase(ledger: Ledger, task: int) -> Ended:
    """End the current phase.

    Raises:
        Misuse: The task is finished, or the phase's deadline is still ahead.
        CallRejected: Another account was faster, or the chain's clock differs.
    """
    look = ledger.look(task)
    before, now = look.state, look.now
    phase = before.phase.name.lower()
    if before.phase is Phase.FINISHED:
        raise Misuse(f"task {task} is finished: there is no phase to end")
    if now <= before.deadline:
        raise Misuse(
            f"the {phase} phase of round {before.round} has {before.deadline - now} s left; "
            f"it can be ended after its deadline"
        )
    missing = members_in(members_of(ledger, task), before.awaited)
    receipt, after = ledger.advance(task), ledger.task_state(task)
    return Ended(
        task=task,
        round=before.round,
        phase=phase,
        missing=missing,
        next_phase=after.phase.name.lower(),
        next_round=after.round,
        block=receipt.block_number,
        gas=receipt.gas_used,
    )
