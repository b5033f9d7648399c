"""A statement with its signature: a DSSE envelope in a Sigstore bundle (docs/protocol.md, "Provenance").

Sources: DSSE 1.0 (Dead Simple Signing Envelope); Sigstore bundle format 0.3. A bundle of this kind has nothing to do
with a bundle of a history.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)

from chain.text import shown
from fl_node.blobs.canonical import canonical_json, parse_json
from fl_node.blobs.digest import digest_of
from fl_node.errors import StatementInvalid

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD = "application/vnd.in-toto+json"
MAX_SIGNATURE_FILE_BYTES = 1 << 15
"""The longest signature file that is read."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A signed payload.

    Attributes:
        payload: The statement's bytes.
        signature: ECDSA over what `signed_bytes` gives, with SHA-256, in DER.
        hint: Which key is said to have signed: as `key_hint` names it. Proves nothing.
    """

    payload: bytes
    signature: bytes
    hint: str

    def is_signed_by(self, key: EllipticCurvePublicKey) -> bool:
        """Whether the key signed this payload, and the envelope names it."""
        try:
            key.verify(self.signature, signed_bytes(self.payload), ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return self.hint == key_hint(key)


def sign(payload: bytes, key: EllipticCurvePrivateKey) -> Envelope:
    """Sign a payload. ECDSA draws a random number: each signature is another."""
    signature = key.sign(signed_bytes(payload), ECDSA(hashes.SHA256()))
    return Envelope(payload, signature, key_hint(key.public_key()))


def signed_bytes(payload: bytes) -> bytes:
    """The bytes that are signed, DSSE's pre-authentication encoding: lengths, the payload's type, the payload."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD), PAYLOAD.encode(), len(payload), payload)


def key_hint(key: EllipticCurvePublicKey) -> str:
    """A key's name: the sha256 of its PEM file (SubjectPublicKeyInfo), 64 hex digits."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return digest_of(key.public_bytes(serialization.Encoding.PEM, form)).hex()


def envelope_to_json(envelope: Envelope) -> bytes:
    """Encode an envelope as the file that lies beside a model."""
    return canonical_json(
        {
            "dsseEnvelope": {
                "payload": base64.b64encode(envelope.payload).decode(),
                "payloadType": PAYLOAD,
                "signatures": [{"keyid": "", "sig": base64.b64encode(envelope.signature).decode()}],
            },
            "mediaType": BUNDLE,
            "verificationMaterial": {"publicKey": {"hint": envelope.hint}, "tlogEntries": []},
        }
    )


def read_envelope(content: bytes) -> Envelope:
    """Decode a signature file that somebody else wrote; whether the signature holds is not checked.

    Args:
        content: Anything.

    Raises:
        StatementInvalid: It is not the one spelling of such a file.
    """
    if len(content) > MAX_SIGNATURE_FILE_BYTES:
        raise StatementInvalid(
            f"the file has {len(content)} bytes, at most {MAX_SIGNATURE_FILE_BYTES} are allowed"
        )
    try:
        envelope = _from_json(parse_json(content.decode()))
        spelling = envelope_to_json(envelope)
    except (ValueError, TypeError, LookupError) as error:
        raise StatementInvalid(f"not a signature file: {shown(repr(error))}") from None
    if spelling != content:
        raise StatementInvalid("the signature file is not spelt as docs/protocol.md says")
    return envelope


def _from_json(value: Any) -> Envelope:
    """Read the fields that vary; a comparison of the spelling checks all others."""
    inner = value["dsseEnvelope"]
    (signature,) = inner["signatures"]
    hint = value["verificationMaterial"]["publicKey"]["hint"]
    if not isinstance(hint, str):
        raise ValueError("hint: expected text")
    return Envelope(
        payload=base64.b64decode(inner["payload"], validate=True),
        signature=base64.b64decode(signature["sig"], validate=True),
        hint=hint,
    )
