"""Turns options into concrete parts: the ledger, and the evidence in a workspace."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chain.accounts import Signer
from chain.connection import PATIENCE_SECONDS, Urls
from chain.deploy import Deployment, read_deployment
from chain.ledger import Ledger
from chain.looking import MAX_DEPTH, Settling
from chain.text import shown
from chain.web3_ledger import Web3Ledger
from fl_node.cli import options
from fl_node.errors import Misuse

GWEI = 10**9


@dataclass(frozen=True, slots=True)
class Manners:
    """How a command treats its chain; the options of the same names describe them."""

    confirm: bool = False
    settled: str | None = None
    max_gas_price: float = options.DEFAULT_MAX_GAS_PRICE
    receipt_timeout: float = options.DEFAULT_RECEIPT_TIMEOUT


def wei_of(gwei: float) -> int:
    """What `--max-gas-price` says, in wei."""
    return int(gwei * GWEI)


def settling_of(settled: str | None) -> Settling | None:
    """What `--settled` says; None if it says nothing.

    Raises:
        Misuse: It is none of latest, finalized, and a number of blocks from 0 to 1000.
    """
    if settled is None:
        return None
    if settled == "finalized":
        return "finalized"
    if settled == "latest":
        return 0
    if settled.isascii() and settled.isdigit() and int(settled[:5]) <= MAX_DEPTH:
        return int(settled[:5])
    raise Misuse(
        f"--settled: expected latest, finalized or a number up to {MAX_DEPTH}, got {shown(settled)}"
    )


def read_digest(option: str, text: str | None) -> bytes | None:
    """Read the digest, or the history head, that an option names: 64 hex digits, with or without 0x before them.

    Raises:
        Misuse: It has another form.
    """
    if text is None:
        return None
    digits = text.strip().removeprefix("0x")
    if not re.fullmatch("[0-9a-fA-F]{64}", digits):
        raise Misuse(f"{option}: expected 64 hex digits, got {text[:100]!r}")
    return bytes.fromhex(digits)


def refuse_two_sources(bundle: Path | None, workspace: Path | None) -> None:
    """Refuse to take one history from two places.

    Raises:
        Misuse: Both `--bundle` and `--workspace` are given.
    """
    if bundle is not None and workspace is not None:
        raise Misuse("give either --bundle or --workspace")


def open_ledger(
    rpc_urls: Urls,
    deployment: Path,
    signer: Signer | None = None,
    task: int | None = None,
    manners: Manners = Manners(),
) -> Web3Ledger:
    """Connect to the contract of a deployment file, as `connect` does."""
    return connect(rpc_urls, read_deployment(deployment), signer, task, manners=manners)


def connect(
    rpc_urls: Urls,
    deployed: Deployment,
    signer: Signer | None = None,
    task: int | None = None,
    patience: float = PATIENCE_SECONDS,
    manners: Manners = Manners(),
    lasting: bool = False,
) -> Web3Ledger:
    """Connect to the contract of a deployment, and check its chain, its code, and that it has the task.

    Args:
        patience: The most seconds that a question is asked again at a busy endpoint, up to a minute.
        manners: How transactions are sent, and which state counts.
        lasting: Whether a call returns only when the block with its transaction is settled, too.

    Raises:
        Misuse: The contract has no such task.
        LedgerError: As for `Web3Ledger`.
    """
    ledger = Web3Ledger(
        rpc_urls,
        deployed.address,
        signer,
        chain_id=deployed.chain_id,
        first_block=deployed.block,
        patience=min(patience, PATIENCE_SECONDS),
        receipt_seconds=manners.receipt_timeout,
        most_wei_per_gas=wei_of(manners.max_gas_price),
        settling=settling_of(manners.settled),
        confirm=manners.confirm,
        lasting=lasting,
    )
    if task is not None:
        verify_task(ledger, task)
    return ledger


def verify_task(ledger: Ledger, task: int) -> None:
    """Check that the contract has a task. The error says which tasks it has.

    Raises:
        Misuse: The contract has no such task.
    """
    count = ledger.task_count()
    if not 1 <= task <= count:
        there = {0: "no task has been opened", 1: "its only task is 1"}.get(count)
        raise Misuse(
            f"there is no task {task} at contract {ledger.contract}: "
            f"{there or f'its tasks are 1 to {count}'}"
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where a task's chain, contract and blobs are; the options of the same names describe them."""

    rpc_urls: Urls
    deployment: Path
    store: str


@contextmanager
def evidence(
    workspace: Path | None, rpc_urls: Urls, deployment: Path, store: str = options.DEFAULT_STORE
) -> Iterator[Evidence]:
    """The evidence that the options name. With --workspace, that folder's; its chain is served in the `with` block.

    Raises:
        Misuse: The folder is not a workspace.
    """
    if workspace is None:
        yield Evidence(rpc_urls, deployment, store)
        return
    from chain.devnet import kept_chain  # Imports py-evm, which nothing else here needs.
    from fl_node.cli.workspace import Workspace

    kept = Workspace(workspace)
    with kept_chain(kept.existing_database()) as url:
        yield Evidence(url, kept.deployment, str(kept.store))
