"""Signs a checkpoint, and checks who did. Source: C2SP, tlog-cosignature ("Ed25519 signed message"); RFC 8032."""

from __future__ import annotations

from fl_node.witness.keys import VerifierKey, WitnessKey
from fl_node.witness.note import Checkpoint, Cosignature


def cosign(checkpoint: Checkpoint, key: WitnessKey, time: int) -> Cosignature:
    """Sign a checkpoint.

    Args:
        checkpoint: The last point of the history that the witness has verified.
        key: The witness's.
        time: Now, in seconds since 1970 (UTC).
    """
    signature = key.private.sign(_message(checkpoint, time))
    return Cosignature(key.verifier.name, key.verifier.id, time, signature)


def is_by(cosignature: Cosignature, key: VerifierKey) -> bool:
    """Whether a cosignature claims to be made with this key: by name and id."""
    return (cosignature.name, cosignature.id) == (key.name, key.id)


def is_genuine(checkpoint: Checkpoint, cosignature: Cosignature, key: VerifierKey) -> bool:
    """Whether this key signed this checkpoint at the cosignature's time."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    message = _message(checkpoint, cosignature.time)
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(cosignature.signature, message)
    except (InvalidSignature, ValueError):  # ValueError: no point of the curve.
        return False
    return True


def _message(checkpoint: Checkpoint, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{checkpoint}".encode()
