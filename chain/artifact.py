"""The committed artifact, which is deployed, and which code on a chain is compared with; needs no compiler."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eth_utils.crypto import keccak

CONTRACT = "TrainingLedger"
ARTIFACT = Path(__file__).parent / "artifacts" / f"{CONTRACT}.json"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled contract.

    Attributes:
        abi: The contract's ABI, as JSON.
        bytecode: Creation code, 0x and hex digits.
        deployed_bytecode: The code on the chain after deployment, 0x and hex digits.
        compiler: Version and commit of solc.
        settings: The compiler settings.
        sources: sha256 of each source file, by its import path.
    """

    abi: list[dict[str, Any]]
    bytecode: str
    deployed_bytecode: str
    compiler: str
    settings: dict[str, Any]
    sources: dict[str, str]

    def to_bytes(self) -> bytes:
        """Return the artifact file's bytes: equal artifacts give equal bytes on every machine."""
        return (json.dumps(asdict(self), indent=1, sort_keys=True) + "\n").encode()

    @property
    def digest(self) -> bytes:
        """sha256 of the artifact file."""
        return hashlib.sha256(self.to_bytes()).digest()

    @property
    def code_hash(self) -> bytes:
        """keccak256 of the code on the chain, 32 bytes: what the contract's account there names."""
        return keccak(bytes.fromhex(self.deployed_bytecode.removeprefix("0x")))


def load_artifact() -> Artifact:
    """Return the committed artifact."""
    return Artifact(**json.loads(ARTIFACT.read_bytes()))
