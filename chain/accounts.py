"""Addresses and keys: EIP-55 text, encrypted keystores, and throw-away accounts for dev chains.

A key never appears in a repr, a log line or an error text.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from chain.errors import AccountUnusable, FileUnusable
from chain.files import read_json, write_new
from chain.recursion import recursion_limit
from chain.types import Address, address_number

if TYPE_CHECKING:
    from eth_account.datastructures import SignedTransaction
    from eth_typing import ChecksumAddress


class Signer(Protocol):
    """An account that signs transactions locally, not on a node; eth_account's LocalAccount is one.

    eth_account itself is imported only where a key is made or used: it takes half a second, and most commands use no
    key.
    """

    @property
    def address(self) -> ChecksumAddress:
        """EIP-55 checksummed."""

    @property
    def key(self) -> bytes:
        """The private key, 32 bytes."""

    def sign_transaction(self, transaction_dict: dict[str, Any]) -> SignedTransaction:
        """Sign a transaction; the result can be sent as it is."""


DEV_CHAIN_IDS = frozenset({1337, 31337})
"""Local test chains, whose ether is worth nothing, and which may make blocks only when there is a transaction: 1337 is
geth's, 31337 that of hardhat, anvil and our devnet."""

SCRYPT_COST = 1 << 18
"""scrypt's N, the same as geth's: each guess at the password costs about a second and 256 MiB."""

MAX_KEYSTORE_BYTES = 1 << 16
MAX_SCRYPT_BLOCKS = 1 << 23
"""The largest n * r * p of a keystore that is opened: four times geth's; takes seconds and at most 1 GiB."""

MAX_PBKDF2_ROUNDS = 1 << 24

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_PLAIN_KEY = re.compile(r"(0x)?[0-9a-fA-F]{64}")


def to_address(text: str) -> Address:
    """Convert an address to its EIP-55 checksummed form.

    Args:
        text: "0x" and 40 hex digits, either all in one case or with a valid checksum.

    Raises:
        ValueError: It is not an address, or its checksum is wrong. (Not a `LedgerError`: this is a
            plain parser, and pydantic's validators expect a ValueError.)
    """
    if not isinstance(text, str) or not _ADDRESS.fullmatch(text):
        raise ValueError(f"expected an address, 0x and 40 hex digits, got {text!r}")
    checksummed = _checksummed(text)
    digits = text[2:]
    if digits not in (digits.lower(), digits.upper()) and text != checksummed:
        raise ValueError(f"address {text} has a wrong checksum, expected {checksummed}")
    return Address(checksummed)


# The same few addresses stand in every entry of a log.
_checksummed = lru_cache(maxsize=4096)(to_checksum_address)


def address_of(signer: Signer) -> Address:
    """The signer's address."""
    return Address(signer.address)


def create_keystore(path: Path, password: str, *, scrypt_cost: int = SCRYPT_COST) -> Address:
    """Create a key and write it as an encrypted JSON keystore (Web3 Secret Storage, version 3).

    The file is written whole or not at all, is readable by its owner only, and never replaces another file.

    Args:
        scrypt_cost: scrypt's N, a power of 2. A lower one makes the keystore faster to open, and to guess.

    Raises:
        AccountUnusable: The password is empty, the file exists, or it cannot be written.
    """
    if not password:
        raise AccountUnusable(f"keystore {path}: the password is empty")
    account: Signer = _eth_account().create()
    encrypted = _eth_account().encrypt(account.key, password, kdf="scrypt", iterations=scrypt_cost)
    try:
        write_new(path, json.dumps(encrypted).encode())
    except FileExistsError:
        raise AccountUnusable(f"keystore {path}: the file exists already") from None
    except OSError as error:
        raise AccountUnusable(f"keystore {path}: cannot be written: {error.strerror}") from None
    return address_of(account)


def open_keystore(path: Path, password: str) -> Signer:
    """Decrypt a keystore.

    Raises:
        AccountUnusable: The file does not exist, is not a keystore, would take too long to open, or the password is
            wrong.
    """
    encrypted = _read_keystore(path)
    try:
        _verify_cost(encrypted)
        signer = _signer(_eth_account().decrypt(encrypted, password))
        claimed = str(encrypted.get("address", signer.address)).removeprefix("0x").lower()
    except ValueError as error:
        reason = "wrong password" if "MAC mismatch" in str(error) else "not a keystore of version 3"
        raise AccountUnusable(f"keystore {path}: {reason}") from None
    except Exception:
        # A damaged file raises any of a dozen exceptions here; some of them quote the file.
        raise AccountUnusable(f"keystore {path}: not a keystore of version 3") from None
    if claimed != signer.address.removeprefix("0x").lower():
        # The format's checksum does not cover the cipher's first bytes: damage there gives another key.
        raise AccountUnusable(
            f"keystore {path}: its key belongs to another address than the one it names"
        )
    return signer


def keystore_address(path: Path) -> Address:
    """The address that a keystore names, read without its password. The name proves nothing: anybody can write any
    address into such a file. `open_keystore` checks it against the key.

    Raises:
        AccountUnusable: The file does not exist, is not a keystore, or names no address.
    """
    named = _read_keystore(path).get("address")
    if named is None:
        raise AccountUnusable(f"keystore {path}: names no address; --check derives it from the key")
    try:
        return to_address("0x" + str(named).removeprefix("0x"))
    except ValueError as error:
        raise AccountUnusable(f"keystore {path}: {error}") from None


def open_plain_key(text: str, chain_id: int) -> Signer:
    """Take an unencrypted private key; accepted on a dev chain only.

    Args:
        text: 64 hex digits, with or without "0x".

    Raises:
        AccountUnusable: The chain is not a dev chain, or the text is not a key. The message does not repeat the text.
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
    """Derive an account from two numbers, the same on every machine, so that a demo can be repeated.

    For dev chains only: anybody can compute its key.

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
    """The first `count` dev accounts of a seed, in ascending order of address, as a task indexes its members."""
    made = (dev_account(seed, index) for index in range(count))
    return sorted(made, key=lambda signer: address_number(address_of(signer)))


def _signer(key: bytes) -> Signer:
    account: Signer = _eth_account().from_key(key)
    return account


def _eth_account() -> Any:
    with recursion_limit():  # eth_account loads py_ecc, which raises the limit.
        from eth_account import Account
    return Account


def _read_keystore(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path, MAX_KEYSTORE_BYTES)
    except FileUnusable as error:
        raise AccountUnusable(f"keystore {error}") from None
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
        ValueError: It would, or it is not a keystore.
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
