"""A witness's Ed25519 key: kept encrypted with a password, and known to others by one line.

    alice.example/witness+6fa1e36c+BBFhc...     name, key id, and base64 of the type and the public key

Source: C2SP, signed-note ("Verifier keys") and tlog-cosignature (type 0x04); RFC 8032 (Ed25519).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chain.errors import FileUnusable
from chain.files import read_text, write_new
from chain.text import shown
from fl_node.errors import Misuse, NoteInvalid
from fl_node.witness.base64 import from_base64, to_base64

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

COSIGNATURE = b"\x04"
"""The type of a timestamped Ed25519 cosignature among all signatures of notes."""

PUBLIC_BYTES = 32
MAX_NAME = 200
_NAME = re.compile(f"[!-*,-~]{{1,{MAX_NAME}}}")
MAX_KEY_FILE_BYTES = 1 << 14


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """What others need to check a witness's signatures.

    Attributes:
        name: Of 1 to 200 printable ASCII characters, none a space or a plus sign; a URL without its scheme, by custom.
        public: The public key, 32 bytes.
    """

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        """Tells the keys of one name apart: 4 bytes."""
        return hashlib.sha256(self.name.encode() + b"\n" + COSIGNATURE + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{to_base64(COSIGNATURE + self.public)}"


def is_name(text: str) -> bool:
    """Whether a witness may have this name."""
    return _NAME.fullmatch(text) is not None


def read_verifier_key(text: str) -> VerifierKey:
    """Read the line by which others know a witness.

    Args:
        text: NAME+ID+KEY, as `ganchor witness --new-key` prints it.

    Raises:
        NoteInvalid: It has another form, is of another type of key, or its id is another key's.
    """
    name, _, rest = text.strip().partition("+")
    _, _, encoded = rest.partition("+")
    try:
        content = from_base64(encoded)
    except ValueError:
        content = b""
    key = VerifierKey(name, content[1:])
    whole = content[:1] == COSIGNATURE and len(key.public) == PUBLIC_BYTES and is_name(name)
    if not whole or str(key) != text.strip():
        raise NoteInvalid(f"expected a witness's key, NAME+ID+KEY, got {shown(text, 300)!r}")
    return key


@dataclass(frozen=True, slots=True)
class WitnessKey:
    """A witness's key, which signs. It is never shown.

    Attributes:
        verifier: What others need.
        private: The private key.
    """

    verifier: VerifierKey
    private: Ed25519PrivateKey

    def __repr__(self) -> str:
        return f"WitnessKey({self.verifier})"


def witness_key(name: str, seed: bytes) -> WitnessKey:
    """The key that follows from a seed.

    Args:
        name: As `VerifierKey.name`.
        seed: 32 bytes, secret and random.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return _named(name, Ed25519PrivateKey.from_private_bytes(seed))


def create_key(path: Path, name: str, password: str) -> VerifierKey:
    """Create a witness's key in a new file: its public line, and below it the key as encrypted PEM (PKCS #8).

    Args:
        path: The file, which does not exist yet. Only its owner can read it.
        name: As `VerifierKey.name`.
        password: Encrypts it.

    Raises:
        Misuse: No witness has such a name, the password is empty, the file exists, or it cannot be written.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if not is_name(name):
        raise Misuse(
            f"a witness's name has 1 to {MAX_NAME} printable ASCII characters, no space or plus, got {shown(name)!r}"
        )
    if not password:
        raise Misuse(f"key {path}: the password is empty")
    key = _named(name, Ed25519PrivateKey.generate())
    encrypted = key.private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password.encode()),
    )
    try:
        write_new(path, f"{key.verifier}\n".encode() + encrypted)
    except FileExistsError:
        raise Misuse(f"key {path}: the file exists already") from None
    except OSError as error:
        raise Misuse(f"key {path}: cannot be written: {error.strerror}") from None
    return key.verifier


def open_key(path: Path, password: str) -> WitnessKey:
    """Open a file that `create_key` wrote.

    Raises:
        Misuse: It cannot be read, is no such file, or the password is wrong; or its key is not that of its first line.
    """
    try:
        line, _, pem = read_text(path, MAX_KEY_FILE_BYTES).partition("\n")
        verifier = read_verifier_key(line)
    except FileUnusable as error:
        raise Misuse(f"key {error}") from None
    except NoteInvalid:
        raise Misuse(f"key {path}: does not begin with a witness's NAME+ID+KEY") from None
    key = _named(verifier.name, _decrypted(path, pem, password))
    if key.verifier != verifier:
        raise Misuse(f"key {path}: holds another key than its first line names")
    return key


def _decrypted(path: Path, pem: str, password: str) -> Ed25519PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private: Any = load_pem_private_key(pem.encode(), password.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):  # The messages may quote the file.
        raise Misuse(f"key {path}: wrong password, or no encrypted key") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise Misuse(f"key {path}: not an Ed25519 key")
    return private


def _named(name: str, private: Ed25519PrivateKey) -> WitnessKey:
    return WitnessKey(VerifierKey(name, private.public_key().public_bytes_raw()), private)
