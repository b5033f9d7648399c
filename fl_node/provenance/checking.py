"""Checks a signature file: whether the key, the file, the head and the history agree with what it says."""

from __future__ import annotations

from dataclasses import fields

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from fl_node.provenance.claim import Claim
from fl_node.provenance.envelope import Envelope, key_hint
from fl_node.provenance.statement import Statement


def check_signature(envelope: Envelope, key: EllipticCurvePublicKey) -> list[str]:
    """A finding if the key did not sign the statement; otherwise none."""
    if envelope.is_signed_by(key):
        return []
    return [f"the signature is not one of the key {key_hint(key)}"]


def check_file(statement: Statement, file_digest: bytes) -> list[str]:
    """A finding if a file with this sha256 is not the one that was signed; otherwise none."""
    return _compared("the file's sha256", statement.file_digest, file_digest)


def check_head(statement: Statement, expected: bytes) -> list[str]:
    """A finding if the statement is about another head than the one that somebody trusts; otherwise none."""
    return _compared("the history head", expected, statement.claim.history_head)


def check_claim(statement: Statement, recorded: Claim) -> list[str]:
    """A finding for each field in which the statement says something else than a history records."""
    return [
        finding
        for field in fields(Claim)
        for finding in _compared(
            field.name.replace("_", " "),
            getattr(recorded, field.name),
            getattr(statement.claim, field.name),
        )
    ]


def _compared(what: str, expected: object, actual: object) -> list[str]:
    return (
        [] if expected == actual else [f"{what}: expected {_word(expected)}, got {_word(actual)}"]
    )


def _word(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
