"""Turns a chain's answer to a reverted call into the `CallRejected` of its reason.

geth, anvil, reth and our devnet give the contract's revert data as hex in `data`; hardhat and older nodes nest it in
objects or put a word before it. The data is an ABI-encoded error of the contract (the first four bytes of its
signature's hash, then its fields), or one of Solidity's own two errors.
"""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from chain import errors
from chain.accounts import to_address
from chain.artifact import load_artifact
from chain.errors import CallRejected, UnknownRejection
from chain.text import shown
from chain.types import Phase

_ERROR_STRING = bytes.fromhex("08c379a0")  # Error(string)
_PANIC = bytes.fromhex("4e487b71")  # Panic(uint256)


def rejection_from(answer: object, message: str = "") -> CallRejected:
    """The reason for a revert, as an exception to raise.

    Args:
        answer: The revert data: bytes, hex text, or a node's object with them somewhere inside.
        message: The node's message; becomes the reason if the data tells none.
    """
    data = revert_data(answer)
    if not data:
        return UnknownRejection(shown(message or "reverted without a reason"))
    try:
        return _decode(data)
    except (DecodingError, ValueError, OverflowError):
        return UnknownRejection(shown(f"revert data that does not decode: 0x{data.hex()}"))


def revert_data(answer: object) -> bytes | None:
    """The revert data in a node's answer; None if there are none."""
    match answer:
        case bytes():
            return bytes(answer)
        case str():
            digits = answer.removeprefix("Reverted ").removeprefix("0x")
            return _bytes_or_none(digits) if answer.startswith(("0x", "Reverted 0x")) else None
        case dict():
            found = (revert_data(value) for value in answer.values())
            return next((data for data in found if data is not None), None)
        case _:
            return None


def _bytes_or_none(digits: str) -> bytes | None:
    try:
        return bytes.fromhex(digits)
    except ValueError:
        return None


def _decode(data: bytes) -> CallRejected:
    selector, arguments = data[:4], data[4:]
    if selector == _ERROR_STRING:
        return UnknownRejection(shown(decode(("string",), arguments)[0]))
    if selector == _PANIC:
        return UnknownRejection(f"panic 0x{decode(('uint256',), arguments)[0]:02x}")
    known = _known_errors().get(selector)
    if known is None:
        return UnknownRejection(shown(f"an error that this version does not know: 0x{data.hex()}"))
    error_class, types = known
    values = zip(fields(error_class), types, decode(types, arguments), strict=True)
    return error_class(*(_field(field.type, kind, value) for field, kind, value in values))


def _field(annotation: object, kind: str, value: Any) -> Any:
    if kind == "address":
        return to_address(value)
    return Phase(value) if annotation == "Phase" else value


@cache
def _known_errors() -> dict[bytes, tuple[type[CallRejected], tuple[str, ...]]]:
    """The contract's errors by selector, each with the ABI types of its fields."""
    known = {}
    for item in load_artifact().abi:
        error_class = getattr(errors, item.get("name", ""), None)
        if item["type"] == "error" and error_class is not None:
            types = tuple(part["type"] for part in item["inputs"])
            known[keccak(text=f"{item['name']}({','.join(types)})")[:4]] = (error_class, types)
    return known
