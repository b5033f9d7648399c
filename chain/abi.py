"""Calls of the contract and what they return, in the encoding of Solidity's ABI.

Source: https://docs.soliditylang.org/en/v0.8.28/abi-spec.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError, EncodingError
from eth_utils.crypto import keccak

from chain.compile import load_artifact
from chain.errors import LedgerUnusable


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the contract: the first four bytes of a call, and the types of what goes in and comes out."""

    selector: bytes
    arguments: tuple[str, ...]
    results: tuple[str, ...]


@cache
def functions() -> dict[str, Function]:
    """The contract's functions by name; no two share one."""
    return {
        item["name"]: _function(item) for item in load_artifact().abi if item["type"] == "function"
    }


def encode_call(name: str, arguments: Sequence[Any]) -> bytes:
    """A call's data.

    Raises:
        LedgerUnusable: The function's types do not hold the arguments.
    """
    function = functions()[name]
    try:
        return function.selector + encode(function.arguments, arguments)
    except (EncodingError, TypeError, ValueError, OverflowError):
        taken = ", ".join(repr(argument) for argument in arguments)
        raise LedgerUnusable(f"{name} does not take ({taken})") from None


def decode_results(name: str, data: bytes) -> tuple[Any, ...]:
    """What a call returned; addresses in lower case.

    Raises:
        ValueError: The bytes are not of the function's types.
    """
    try:
        return decode(functions()[name].results, data)
    except (DecodingError, OverflowError) as error:
        raise ValueError(f"the result of {name} does not decode: {error}") from None


def _function(item: dict[str, Any]) -> Function:
    arguments, results = (
        tuple(_type(part) for part in item[side]) for side in ("inputs", "outputs")
    )
    signature = f"{item['name']}({','.join(arguments)})"
    return Function(keccak(text=signature)[:4], arguments, results)


def _type(part: dict[str, Any]) -> str:
    """An argument's type as signatures have it: a struct is the tuple of its fields."""
    if not part["type"].startswith("tuple"):
        return str(part["type"])
    fields = ",".join(_type(field) for field in part["components"])
    return f"({fields}){part['type'].removeprefix('tuple')}"
