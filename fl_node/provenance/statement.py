"""The statement that is signed: in-toto's form, with model signing's predicate and in it the claim (docs/protocol.md,
"Provenance").

Sources: in-toto Attestation Framework, Statement v1; OpenSSF Model Signing, predicate v1.0, whose readers ignore the
fields of a predicate that they do not know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chain import answers
from chain.text import shown
from fl_node.blobs.canonical import canonical_json, parse_json
from fl_node.blobs.digest import digest_of
from fl_node.errors import StatementInvalid
from fl_node.provenance.claim import Claim

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://model_signing/signature/v1.0"
OURS = "ganchor"
"""The predicate's field that holds the claim."""

MAX_STATEMENT_BYTES = 1 << 14
MAX_NAME = 255
SERIALIZATION = {"allow_symlinks": False, "hash_type": "sha256", "method": "files"}
WHOLE_FILE = "."
"""The name of the only resource, relative to the model's path: a model that is one file."""


@dataclass(frozen=True, slots=True)
class Statement:
    """That a file is a model of a history.

    Attributes:
        name: The file's name when it was signed, 1 to 255 printable characters; it may have another one now.
        file_digest: The sha256 of the file, 32 bytes.
        claim: Which model of which history it is.
    """

    name: str
    file_digest: bytes
    claim: Claim


def statement_to_json(statement: Statement) -> bytes:
    """Encode a statement; equal statements give equal bytes."""
    resource = {"algorithm": "sha256", "digest": statement.file_digest.hex(), "name": WHOLE_FILE}
    root = digest_of(statement.file_digest).hex()  # Of the digests of all resources in a row.
    return canonical_json(
        {
            "_type": STATEMENT,
            "predicate": {
                OURS: _claim_to_json(statement.claim),
                "resources": [resource],
                "serialization": SERIALIZATION,
            },
            "predicateType": PREDICATE,
            "subject": [{"digest": {"sha256": root}, "name": statement.name}],
        }
    )


def read_statement(content: bytes) -> Statement:
    """Decode a statement that somebody else wrote.

    Args:
        content: Anything.

    Raises:
        StatementInvalid: It is not the one spelling of a statement.
    """
    if len(content) > MAX_STATEMENT_BYTES:
        raise StatementInvalid(
            f"the statement has {len(content)} bytes, at most {MAX_STATEMENT_BYTES} are allowed"
        )
    try:
        statement = _from_json(parse_json(content.decode()))
    except (ValueError, TypeError, LookupError) as error:
        raise StatementInvalid(
            f"not a statement about a model of a history: {shown(repr(error))}"
        ) from None
    if statement_to_json(statement) != content:
        raise StatementInvalid("the statement is not spelt as docs/protocol.md says")
    return statement


def _claim_to_json(claim: Claim) -> dict[str, Any]:
    return {
        "chain_id": claim.chain_id,
        "contract": claim.contract,
        "history_head": "0x" + claim.history_head.hex(),
        "model_digest": "0x" + claim.model_digest.hex(),
        "round": claim.round,
        "task": claim.task,
    }


def _from_json(value: Any) -> Statement:
    """Read the fields that vary; a comparison of the spelling checks all others."""
    (subject,) = value["subject"]
    predicate = value["predicate"]
    (resource,) = predicate["resources"]
    return Statement(
        name=_name(subject["name"]),
        file_digest=answers.word("0x" + resource["digest"]),
        claim=_claim(predicate[OURS]),
    )


def _claim(value: Any) -> Claim:
    return Claim(
        chain_id=answers.chain_id(value["chain_id"]),
        contract=answers.address(value["contract"]),
        task=answers.quantity(value["task"], 1 << 256),
        round=answers.quantity(value["round"], 1 << 32),
        model_digest=answers.word(value["model_digest"]),
        history_head=answers.word(value["history_head"]),
    )


def _name(value: object) -> str:
    if not isinstance(value, str) or not value or shown(value, MAX_NAME) != value:
        raise ValueError(f"name: expected 1 to {MAX_NAME} printable characters")
    return value
