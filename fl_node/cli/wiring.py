"""From options to concrete parts: the ledger, and a workspace's evidence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chain.accounts import Signer
from chain.deploy import Deployment, read_deployment
from chain.ledger import Ledger
from chain.web3_ledger import Web3Ledger
from fl_node.cli import options
from fl_node.errors import Misuse


def open_ledger(
    rpc_url: str, deployment: Path, signer: Signer | None = None, task: int | None = None
) -> Web3Ledger:
    """The contract of a deployment file, as `connect` does."""
    return connect(rpc_url, read_deployment(deployment), signer, task)


def connect(
    rpc_url: str, deployed: Deployment, signer: Signer | None = None, task: int | None = None
) -> Web3Ledger:
    """The contract of a deployment, checked: expected chain, expected code, and that it has the task.

    Raises:
        Misuse: There is no such task.
        LedgerError: As `Web3Ledger`.
    """
    ledger = Web3Ledger(
        rpc_url,
        deployed.address,
        signer,
        chain_id=deployed.chain_id,
        first_block=deployed.block,
    )
    if task is not None:
        verify_task(ledger, task)
    return ledger


def verify_task(ledger: Ledger, task: int) -> None:
    """Say how many tasks there are, where the one that is asked for is none of them.

    Raises:
        Misuse: There is no such task.
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
    """Where a task's chain, contract and blobs are; see the options of the same names."""

    rpc_url: str
    deployment: Path
    store: str


@contextmanager
def evidence(
    workspace: Path | None, rpc_url: str, deployment: Path, store: str = options.DEFAULT_STORE
) -> Iterator[Evidence]:
    """What the options name; with --workspace, what is in that folder, its chain served as long as this is open.

    Raises:
        Misuse: The folder is no workspace.
    """
    if workspace is None:
        yield Evidence(rpc_url, deployment, store)
        return
    from chain.devnet import kept_chain  # py-evm, which nothing else here needs
    from fl_node.cli.workspace import Workspace

    place = Workspace(workspace)
    with kept_chain(place.existing_database()) as url:
        yield Evidence(url, place.deployment, str(place.store))
