"""The key that signs a statement: an elliptic curve key of the P-256 curve, in a PEM file encrypted with a password."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)

from chain.errors import FileUnusable
from chain.files import read_file
from fl_node.errors import Misuse

MAX_PEM_BYTES = 1 << 14


def open_signing_key(path: Path, password: str) -> EllipticCurvePrivateKey:
    """Decrypt a private key. The file, the password and the key never appear in an error.

    Args:
        path: A PEM file; `openssl ecparam` and `openssl pkcs8 -topk8` make one.
        password: Its password.

    Raises:
        Misuse: The file cannot be read or is not encrypted, its key is of another kind, or the password is wrong.
    """
    content = _read(path)
    if not password:
        raise Misuse(f"key {path}: the password is empty")
    try:
        key = serialization.load_pem_private_key(content, password.encode())
    except TypeError:
        raise Misuse(f"key {path}: not encrypted; openssl pkcs8 -topk8 encrypts it") from None
    except (ValueError, UnsupportedAlgorithm):
        raise Misuse(f"key {path}: not a private key in PEM, or a wrong password") from None
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise Misuse(f"key {path}: expected an elliptic curve key on P-256")
    return key


def open_public_key(path: Path) -> EllipticCurvePublicKey:
    """Read a public key.

    Args:
        path: A PEM file; `openssl ec -pubout` makes one.

    Raises:
        Misuse: The file cannot be read, or holds no such key.
    """
    try:
        key = serialization.load_pem_public_key(_read(path))
    except (ValueError, UnsupportedAlgorithm):
        raise Misuse(f"key {path}: not a public key in PEM") from None
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise Misuse(f"key {path}: expected an elliptic curve key on P-256")
    return key


def _read(path: Path) -> bytes:
    try:
        return read_file(path, MAX_PEM_BYTES)
    except FileUnusable as error:
        raise Misuse(f"key {error}") from None
