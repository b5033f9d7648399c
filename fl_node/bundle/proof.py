"""proof.json: the proof that a block holds the history head, as JSON (docs/protocol.md, "Bundle")."""

from __future__ import annotations

from typing import Any

from chain import answers
from chain.proofs import MAX_NODES, HeadProof
from chain.text import shown
from fl_node.blobs.canonical import canonical_json, parse_json
from fl_node.errors import BundleInvalid

MAX_PROOF_BYTES = 1 << 19
"""The longest proof.json that is read. Usual ones have some 10 kB."""

KEYS = {"account", "header", "storage"}


def proof_to_json(proof: HeadProof) -> bytes:
    """Encode a proof as proof.json. Of which contract and task it is, the bundle says elsewhere."""
    return canonical_json(
        {
            "account": [_hex(node) for node in proof.account],
            "header": _hex(proof.header),
            "storage": [_hex(node) for node in proof.storage],
        }
    )


def read_proof(content: bytes) -> HeadProof:
    """Decode a proof.json that somebody else wrote. What it proves is for `chain.proofs.follow` to say.

    Args:
        content: Anything.

    Raises:
        BundleInvalid: It is not the one spelling of a header and two lists of nodes.
    """
    if len(content) > MAX_PROOF_BYTES:
        raise BundleInvalid(f"proof.json: {len(content)} bytes, at most {MAX_PROOF_BYTES}")
    try:
        proof = _from_json(parse_json(content.decode()))
    except ValueError as error:
        raise BundleInvalid(f"proof.json: {shown(error)}") from None
    if proof_to_json(proof) != content:
        raise BundleInvalid("proof.json: not spelt as the specification says")
    return proof


def _from_json(value: Any) -> HeadProof:
    if not isinstance(value, dict) or value.keys() != KEYS:
        raise ValueError(f"expected an object with {', '.join(sorted(KEYS))}")
    return HeadProof(
        header=answers.data(value["header"]),
        account=_nodes(value["account"]),
        storage=_nodes(value["storage"]),
    )


def _nodes(value: Any) -> tuple[bytes, ...]:
    if not isinstance(value, list) or len(value) > MAX_NODES:
        raise ValueError(f"expected a list of at most {MAX_NODES} nodes")
    return tuple(map(answers.data, value))


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
