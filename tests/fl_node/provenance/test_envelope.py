"""A statement with its signature: what is signed, and who signed it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from fl_node.blobs.canonical import canonical_json
from fl_node.errors import StatementInvalid
from fl_node.provenance.checking import check_claim, check_file, check_head, check_signature
from fl_node.provenance.envelope import (
    MAX_SIGNATURE_FILE_BYTES,
    Envelope,
    envelope_to_json,
    key_hint,
    read_envelope,
    sign,
    signed_bytes,
)
from fl_node.provenance.statement import Statement, statement_to_json

Key = ec.EllipticCurvePrivateKey


@pytest.fixture
def envelope(key: Key, statement: Statement) -> Envelope:
    return sign(statement_to_json(statement), key)


def test_the_signed_bytes_are_those_of_dsse() -> None:
    assert signed_bytes(b"{}") == b"DSSEv1 28 application/vnd.in-toto+json 2 {}"


def test_what_is_written_is_read(envelope: Envelope) -> None:
    assert read_envelope(envelope_to_json(envelope)) == envelope


def test_the_key_that_signed_is_known(envelope: Envelope, key: Key) -> None:
    assert envelope.is_signed_by(key.public_key())
    assert check_signature(envelope, key.public_key()) == []


def test_another_key_did_not_sign(envelope: Envelope) -> None:
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    assert not replace(envelope, hint=key_hint(other)).is_signed_by(other)
    (finding,) = check_signature(envelope, other)
    assert key_hint(other) in finding


def test_another_payload_is_not_signed(envelope: Envelope, key: Key) -> None:
    assert not replace(envelope, payload=envelope.payload + b" ").is_signed_by(key.public_key())


@pytest.mark.parametrize("signature", [b"", b"\0", bytes(64), b"0" * 1000])
def test_what_is_no_signature_is_none(envelope: Envelope, key: Key, signature: bytes) -> None:
    assert not replace(envelope, signature=signature).is_signed_by(key.public_key())


def test_another_hint_is_another_key(envelope: Envelope, key: Key) -> None:
    assert not replace(envelope, hint="00" * 32).is_signed_by(key.public_key())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("mediaType",), "application/json"),
        (("extra",), 1),
        (("dsseEnvelope",), []),
        (("dsseEnvelope", "payloadType"), "text/plain"),
        (("dsseEnvelope", "payload"), "***"),
        (("dsseEnvelope", "payload"), 5),
        (("dsseEnvelope", "signatures"), []),
        (("dsseEnvelope", "signatures"), [{"sig": "AA=="}, {"sig": "AA=="}]),
        (("dsseEnvelope", "signatures", 0, "keyid"), "root"),
        (("dsseEnvelope", "signatures", 0, "sig"), "AB=="),
        (("verificationMaterial", "publicKey", "hint"), None),
        (("verificationMaterial", "publicKey", "rawBytes"), "AA=="),
        (("verificationMaterial", "tlogEntries"), [{}]),
    ],
    ids=str,
)
def test_another_form_is_refused(
    envelope: Envelope, path: tuple[str | int, ...], value: object
) -> None:
    written = json.loads(envelope_to_json(envelope))
    inner: Any = written
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    with pytest.raises(StatementInvalid):
        read_envelope(canonical_json(written))


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"null", b"\xff", b"[" * 5000, b" " * (MAX_SIGNATURE_FILE_BYTES + 1)],
    ids=lambda content: repr(content[:8]),
)
def test_something_else_is_refused(content: bytes) -> None:
    with pytest.raises(StatementInvalid):
        read_envelope(content)


def test_each_difference_is_a_finding(statement: Statement) -> None:
    assert check_file(statement, statement.file_digest) == []
    assert check_file(statement, bytes(32))[0].startswith("the file's sha256: expected 0303")
    assert check_head(statement, statement.claim.history_head) == []
    assert check_head(statement, bytes(32))[0].startswith("the history head: expected 0000")
    recorded = replace(statement.claim, round=2, history_head=bytes(32))
    assert check_claim(statement, statement.claim) == []
    assert [finding.split(":")[0] for finding in check_claim(statement, recorded)] == [
        "round",
        "history head",
    ]
