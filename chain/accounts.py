"""Addresses and keys: EIP-55 text, encrypted keystores, and throw-away accounts for dev chains.

A key never appears in a repr, a log line or an error text.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from chain.errors import AccountUnusable, FileUnusable
from chain.files import read_json
from chain.recursion import recursion_limit
from chain.types import Address, address_number

if TYPE_CHECKING:
    from eth_account.datastructures import SignedTransaction
    from eth_typing import ChecksumAddress


class Signer(Protocol):
    """An account that signs transactions here, without asking a node to; eth_account's LocalAccount is one.

    eth_account itself is imported where a key is made or used: it takes half a second, and most commands need none.
    """

    @property
    def address(self) -> ChecksumAddress:
        """EIP-55 checksummed."""

    @property
    def key(self) -> bytes:
        """The private key, 32 bytes."""

    def sign_transaction(self, transaction_dict: dict[str, Any]) -> SignedTransaction:
        """Sign, to be sent as it is."""


DEV_CHAIN_IDS = frozenset({1337, 31337})
"""Chains whose money is worth nothing: geth's default; that of hardhat, anvil and our devnet."""

SCRYPT_COST = 1 << 18
"""scrypt's N, as geth has it: about a second and 256 MiB for each guess at the password."""

MAX_KEYSTORE_BYTES = 1 << 16
MAX_SCRYPT_BLOCKS = 1 << 23
"""n * r * p of a keystore that is opened: four times geth's, which is seconds and a GiB at most."""

MAX_PBKDF2_ROUNDS = 1 << 24

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_PLAIN_KEY = re.compile(r"(0x)?[0-9a-fA-F]{64}")


def to_address(text: str) -> Address:
    """Put an address into its EIP-55 checksummed form.

    Args:
        text: "0x" and 40 hex digits; in one case only, or with a checksum that fits.

    Raises:
        ValueError: It is no address, or its checksum does not fit. (Not a `LedgerError`: this is a
            plain parser, and pydantic's validators want a ValueError.)
    """
    if not isinstance(text, str) or not _ADDRESS.fullmatch(text):
        raise ValueError(f"expected an address, 0x and 40 hex digits, got {text!r}")
    checksummed = to_checksum_address(text)
    digits = text[2:]
    if digits not in (digits.lower(), digits.upper()) and text != checksummed:
        raise ValueError(f"the checksum of address {text} does not fit, expected {checksummed}")
    return Address(checksummed)


def address_of(signer: Signer) -> Address:
    """The address a signer signs for."""
    return Address(signer.address)


def create_keystore(path: Path, password: str, *, scrypt_cost: int = SCRYPT_COST) -> Address:
    """Make a new key and write it as an encrypted JSON keystore (Web3 Secret Storage, version 3).

    The file appears whole or not at all, readable by its owner only, and never replaces another.

    Args:
        scrypt_cost: scrypt's N, a power of 2; lower is faster to open and to guess.

    Raises:
        AccountUnusable: The password is empty, the file exists, or it cannot be written.
    """
    if not password:
        raise AccountUnusable(f"keystore {path}: the password is empty")
    account: Signer = _eth_account().create()
    encrypted = _eth_account().encrypt(account.key, password, kdf="scrypt", iterations=scrypt_cost)
    try:
        _write_new(path, json.dumps(encrypted).encode())
    except FileExistsError:
        raise AccountUnusable(f"keystore {path}: the file exists already") from None
    except OSError as error:
        raise AccountUnusable(f"keystore {path}: cannot be written: {error.strerror}") from None
    return address_of(account)


def open_keystore(path: Path, password: str) -> Signer:
    """Decrypt a keystore.

    Raises:
        AccountUnusable: No such file, no keystore, one that would take too long to open, or the wrong password.
    """
    encrypted = _read_keystore(path)
    try:
        _verify_cost(encrypted)
        signer = _signer(_eth_account().decrypt(encrypted, password))
        said = str(encrypted.get("address", signer.address)).removeprefix("0x").lower()
    except ValueError as error:
        reason = "wrong password" if "MAC mismatch" in str(error) else "not a keystore of version 3"
        raise AccountUnusable(f"keystore {path}: {reason}") from None
    except Exception:
        # A damaged file meets any of a dozen exceptions here; some quote what they read.
        raise AccountUnusable(f"keystore {path}: not a keystore of version 3") from None
    if said != signer.address.removeprefix("0x").lower():
        # The format's checksum does not cover the cipher's beginning, so that damage there gives another key.
        raise AccountUnusable(f"keystore {path}: its key is not that of the address it names")
    return signer


def keystore_address(path: Path) -> Address:
    """The address that a keystore names, without its password. Anybody can write any address into such a file:
    `open_keystore` tells the one that its key signs for.

    Raises:
        AccountUnusable: No such file, no keystore, or one that names no address.
    """
    named = _read_keystore(path).get("address")
    if named is None:
        raise AccountUnusable(f"keystore {path}: names no address; --check takes it from the key")
    try:
        return to_address("0x" + str(named).removeprefix("0x"))
    except ValueError as error:
        raise AccountUnusable(f"keystore {path}: {error}") from None


def open_plain_key(text: str, chain_id: int) -> Signer:
    """Take a private key as it is; only for a dev chain.

    Args:
        text: 64 hex digits, with or without "0x".

    Raises:
        AccountUnusable: The chain is no dev chain, or the text is no key. The text is not repeated.
    """
    if chain_id not in DEV_CHAIN_IDS:
        allowed = ", ".join(str(known) for known in sorted(DEV_CHAIN_IDS))
        raise AccountUnusable(
            f"a plain key is accepted on a dev chain only (chain id {allowed}), "
            f"this is chain {chain_id}; use a keystore"
        )
    if not _PLAIN_KEY.fullmatch(text.strip()):
        raise AccountUnusable("expected a private key of 64 hex digits")
    try:
        return _signer(bytes.fromhex(text.strip().removeprefix("0x")))
    except ValueError:
        raise AccountUnusable("the private key is out of range") from None


def dev_account(seed: int, index: int) -> Signer:
    """The same account for the same numbers on every machine, so that a demo can be repeated.

    Dev chains only: anybody can compute its key.

    Args:
        seed: 0 to 2**63 - 1.
        index: 0 to 2**32 - 1.
    """
    if not (0 <= seed < 1 << 63 and 0 <= index < 1 << 32):
        raise ValueError(
            f"expected seed in [0, 2**63) and index in [0, 2**32), got {seed} and {index}"
        )
    return _signer(
        keccak(b"ganchor dev account" + seed.to_bytes(8, "big") + index.to_bytes(4, "big"))
    )


def dev_accounts(seed: int, count: int) -> list[Signer]:
    """The first `count` dev accounts of a seed, in ascending order of address: position = index of a member."""
    made = (dev_account(seed, index) for index in range(count))
    return sorted(made, key=lambda signer: address_number(address_of(signer)))


def _signer(key: bytes) -> Signer:
    account: Signer = _eth_account().from_key(key)
    return account


def _eth_account() -> Any:
    with recursion_limit():  # py_ecc, which it loads, lifts it
        from eth_account import Account
    return Account


def _read_keystore(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path, MAX_KEYSTORE_BYTES)
    except FileUnusable as trouble:
        raise AccountUnusable(f"keystore {trouble}") from None
    except ValueError:
        raise AccountUnusable(f"keystore {path}: not a keystore of version 3") from None
    if not isinstance(content, dict):
        raise AccountUnusable(f"keystore {path}: not a keystore of version 3")
    return _lowered(content)


def _lowered(values: dict[str, Any]) -> dict[str, Any]:
    """The same with every key in lower case: early wallets wrote "Crypto"."""
    return {
        key.lower(): _lowered(value) if isinstance(value, dict) else value
        for key, value in values.items()
    }


def _verify_cost(encrypted: dict[str, Any]) -> None:
    """Refuse a keystore that would take hours or terabytes to open.

    Raises:
        ValueError: It is that, or no keystore.
    """
    cost = {"n": 1, "r": 1, "p": 1, "c": 1, "dklen": 1} | encrypted["crypto"]["kdfparams"]
    cheap = (
        min(cost["n"], cost["r"], cost["p"], cost["c"]) > 0
        and cost["n"] * cost["r"] * cost["p"] <= MAX_SCRYPT_BLOCKS
        and cost["c"] <= MAX_PBKDF2_ROUNDS
        and cost["dklen"] <= 64
    )
    if not cheap:
        raise ValueError("not a keystore of bounded cost")


def _write_new(path: Path, content: bytes) -> None:
    """Write a file that must not exist yet, readable by its owner only, all of it or nothing."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    finally:
        draft.unlink()
