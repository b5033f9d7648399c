"""From options to concrete parts: the ledger, and the part of a data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from chain.accounts import Signer
from chain.deploy import Deployment, read_deployment
from chain.web3_ledger import Web3Ledger
from fl_node.errors import Misuse


def open_ledger(rpc_url: str, deployment: Path, signer: Signer | None = None) -> Web3Ledger:
    """The contract of a deployment file, as `connect` does."""
    return connect(rpc_url, read_deployment(deployment), signer)


def connect(rpc_url: str, deployed: Deployment, signer: Signer | None = None) -> Web3Ledger:
    """The contract of a deployment, checked: expected chain, expected code."""
    return Web3Ledger(
        rpc_url,
        deployed.address,
        signer,
        chain_id=deployed.chain_id,
        first_block=deployed.block,
    )


@dataclass(frozen=True, slots=True)
class Part:
    """What `--partition` and `--part` say together: which part, from 0, of how many."""

    partition: str
    index: int
    count: int


def read_part(partition: str, part: str) -> Part:
    """Read `--part` as I/N, from 1/N to N/N.

    Raises:
        Misuse: It is not of that form.
    """
    index, _, count = part.partition("/")
    if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise Misuse(f"--part is {part!r}; allowed is I/N with I from 1 to N, such as 1/3")
    return Part(partition, int(index) - 1, int(count))
