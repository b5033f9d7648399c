"""Putting the contract on a chain, and the small file that says where it is."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from web3 import Web3
from web3.types import TxParams

from chain.accounts import Signer, to_address
from chain.compile import load_artifact
from chain.connection import chain_errors, connect
from chain.errors import ContractMismatch, DeploymentInvalid, FileUnusable
from chain.files import read_json
from chain.transactions import send
from chain.types import Address

MAX_DEPLOYMENT_BYTES = 1 << 16
_DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where a contract lives.

    Attributes:
        chain_id: The chain (EIP-155).
        address: The contract.
        block: Number of the block it was deployed in; nothing of it is on record before.
        artifact_digest: sha256 of the artifact it was deployed from, 64 hex digits.
    """

    chain_id: int
    address: Address
    block: int
    artifact_digest: str


def deploy(rpc_url: str, signer: Signer) -> Deployment:
    """Deploy the committed artifact, wait for its block, and compare the code on chain with it.

    Raises:
        ChainUnreachable, AccountUnusable, ChainRefused, CallRejected: As `send`.
        ContractMismatch: The chain holds other code than was sent.
    """
    w3 = connect(rpc_url)
    artifact = load_artifact()
    creation: TxParams = {"data": _bytes(artifact.bytecode)}
    receipt = send(w3, signer, creation)
    address = to_address(str(receipt["contractAddress"]))
    verify_contract(w3, address)
    with chain_errors(rpc_url):
        chain_id = w3.eth.chain_id
    return Deployment(chain_id, address, receipt["blockNumber"], artifact.digest.hex())


def verify_contract(w3: Web3, address: Address) -> None:
    """Compare the code at an address with the committed artifact's, byte for byte.

    Raises:
        ContractMismatch: There is none, or another.
        ChainUnreachable: No answer.
    """
    with chain_errors(str(w3.provider)):
        actual = w3.eth.get_code(Web3.to_checksum_address(address))
    expected = _bytes(load_artifact().deployed_bytecode)
    if not actual:
        raise ContractMismatch(f"there is no contract at {address}")
    if actual != expected:
        raise ContractMismatch(
            f"other code at {address}: keccak256 0x{Web3.keccak(actual).hex()}, "
            f"expected 0x{Web3.keccak(expected).hex()}"
        )


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def write_deployment(path: Path, deployment: Deployment) -> None:
    """Write the file, whole or not at all.

    Raises:
        DeploymentInvalid: It cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(json.dumps(asdict(deployment), indent=2) + "\n")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise DeploymentInvalid(f"{path}: cannot be written: {error.strerror}") from None


def read_deployment(path: Path) -> Deployment:
    """Read the file that `write_deployment` wrote.

    Raises:
        DeploymentInvalid: No such file, or a field is missing or wrong; the message names it.
    """
    try:
        values = read_json(path, MAX_DEPLOYMENT_BYTES)
    except FileUnusable as trouble:
        raise DeploymentInvalid(str(trouble)) from None
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
                f"{path}: {name}: expected a whole number from {least}, got {_shown(values[name])}"
            )
    digest = values["artifact_digest"]
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise DeploymentInvalid(
            f"{path}: artifact_digest: expected 64 hex digits, got {_shown(digest)}"
        )
    try:
        return Deployment(**{**values, "address": to_address(values["address"])})
    except ValueError as error:
        raise DeploymentInvalid(f"{path}: address: {_cut(str(error))}") from None


def _shown(value: object) -> str:
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"
