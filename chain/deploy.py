"""Deploys the contract, and reads and writes deployment.json, which says where it is."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from eth_utils.crypto import keccak

from chain import answers
from chain.accounts import Signer, to_address
from chain.artifact import load_artifact
from chain.connection import Connection, Urls, connect
from chain.errors import ChainUnreachable, ContractMismatch, DeploymentInvalid, FileUnusable
from chain.fees import MAX_WEI_PER_GAS
from chain.files import read_json, write_whole
from chain.lasting import until_it_lasts
from chain.looking import Settling, settling_on
from chain.text import shown
from chain.transactions import RECEIPT_SECONDS, send
from chain.types import Address

MAX_DEPLOYMENT_BYTES = 1 << 16
_DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where a contract is deployed.

    Attributes:
        chain_id: The chain (EIP-155).
        address: The contract.
        block: Number of the block that it was deployed in; no earlier block has events of it.
        artifact_digest: sha256 of the artifact that was deployed, 64 hex digits.
    """

    chain_id: int
    address: Address
    block: int
    artifact_digest: str


def deploy(
    rpc_urls: Urls,
    signer: Signer,
    settling: Settling | None = None,
    seconds: float = RECEIPT_SECONDS,
    most_wei_per_gas: int = MAX_WEI_PER_GAS,
) -> Deployment:
    """Deploy the committed artifact, wait until its block is settled, and compare the code on chain with it.

    Args:
        rpc_urls: Endpoints of the chain.
        signer: Pays.
        settling: When a block is settled; None chooses by the chain.
        seconds, most_wei_per_gas: As for `send`.

    Raises:
        ChainUnreachable, AccountUnusable, ChainRefused, CallRejected: As for `send`.
        TransactionFailed: As for `send`, or a reorganisation took the contract back.
        ContractMismatch: The code on chain is not the code that was sent.
    """
    connection = connect(rpc_urls)
    artifact = load_artifact()
    settling = settling_on(connection.chain_id) if settling is None else settling
    code = _bytes(artifact.bytecode)
    sent = send(connection, signer, code, seconds=seconds, most_wei_per_gas=most_wei_per_gas)
    receipt = until_it_lasts(connection, sent, settling, seconds)
    if receipt.contract is None:
        raise ChainUnreachable(f"{connection} gave a receipt that names no contract")
    verify_contract(connection, receipt.contract)
    block, digest = receipt.block_number, artifact.digest.hex()
    return Deployment(connection.chain_id, receipt.contract, block, digest)


def verify_contract(connection: Connection, address: Address) -> None:
    """Compare the code at an address with the committed artifact's, byte for byte.

    Raises:
        ContractMismatch: There is no code, or other code.
        ChainUnreachable: The endpoint does not answer.
    """
    actual = connection.ask(answers.data, "eth_getCode", address, "latest")
    expected = _bytes(load_artifact().deployed_bytecode)
    if not actual:
        raise ContractMismatch(f"there is no contract at {address}")
    if actual != expected:
        raise ContractMismatch(
            f"other code at {address}: keccak256 0x{keccak(actual).hex()}, "
            f"expected 0x{keccak(expected).hex()}"
        )


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def write_deployment(path: Path, deployment: Deployment) -> None:
    """Write deployment.json, whole or not at all.

    Raises:
        DeploymentInvalid: It cannot be written.
    """
    try:
        write_whole(path, json.dumps(asdict(deployment), indent=2).encode() + b"\n")
    except FileUnusable as error:
        raise DeploymentInvalid(str(error)) from None


def read_deployment(path: Path) -> Deployment:
    """Read the file that `write_deployment` wrote.

    Raises:
        DeploymentInvalid: The file does not exist, or a field is missing or wrong; the message names it.
    """
    try:
        values = read_json(path, MAX_DEPLOYMENT_BYTES)
    except FileUnusable as error:
        raise DeploymentInvalid(str(error)) from None
    except ValueError:
        raise DeploymentInvalid(f"{path}: not JSON") from None
    return _deployment(path, values)


def _deployment(path: Path, values: object) -> Deployment:
    names = [field.name for field in fields(Deployment)]
    if not isinstance(values, dict) or sorted(values) != sorted(names):
        raise DeploymentInvalid(f"{path}: expected an object with {', '.join(names)}")
    for name, least in (("chain_id", 1), ("block", 0)):
        if type(values[name]) is not int or not least <= values[name] < 1 << 63:
            raise DeploymentInvalid(
                f"{path}: {name}: expected a whole number from {least}, got {shown(repr(values[name]))}"
            )
    digest = values["artifact_digest"]
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise DeploymentInvalid(
            f"{path}: artifact_digest: expected 64 hex digits, got {shown(repr(digest))}"
        )
    try:
        return Deployment(**{**values, "address": to_address(values["address"])})
    except ValueError as error:
        raise DeploymentInvalid(f"{path}: address: {shown(error)}") from None
