"""Sealed updates: a blob that anybody may hold, and that nobody can read before its member reveals (docs/protocol.md).

A member puts its update into the store while others still train. What lies there is encrypted with a key that follows
from the salt of the member's commitment. The reveal publishes the salt, and with it the update, in one transaction. The
commitment binds salt and digest, so that a sealed blob opens to one content and no other.

Source: HKDF (RFC 5869) with SHA-256; AES-256 in counter mode (NIST SP 800-38A). A salt seals one update only, so the
counter may begin at zero. There is no authentication tag: the digest in the commitment is one.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fl_node.blobs.digest import Blob

MAGIC: Final = b"ganchor\x01"
"""How a sealed blob begins. As the length of a plain blob's header it would be far above the limit."""


def seal(blob: Blob, salt: bytes) -> bytes:
    """Seal an update: the magic, then the blob encrypted, which is as long as the blob.

    Args:
        blob: The update's blob.
        salt: Of the member's commitment, 32 random bytes that seal nothing else.
    """
    return MAGIC + _cipher(salt).update(blob)


def is_sealed(blob: Blob) -> bool:
    """Whether a blob begins like a sealed one."""
    return bytes(blob[: len(MAGIC)]) == MAGIC


def unseal(blob: Blob, salt: bytes) -> memoryview:
    """The update in a blob, sealed or plain. Opens one seal, not one within another.

    Args:
        blob: Untrusted bytes. What was not sealed with this salt opens to noise, which is no update.
        salt: As revealed, 32 bytes.

    Returns:
        A read-only view; of a plain blob, the blob itself.
    """
    view = memoryview(blob).toreadonly()
    if not is_sealed(view):
        return view
    return memoryview(_cipher(salt).update(view[len(MAGIC) :]))


def _cipher(salt: bytes) -> CipherContext:
    key = HKDF(SHA256(), length=32, salt=None, info=b"ganchor-sealed-update").derive(salt)
    return Cipher(AES256(key), CTR(bytes(16))).encryptor()
