"""Calls of the contract and what they return, in the encoding of Solidity's ABI, as web3 writes and reads it.

Source: https://docs.soliditylang.org/en/v0.8.28/abi-spec.html
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from eth_abi.exceptions import DecodingError, EncodingError
from eth_utils.abi import get_abi_output_types

from chain.artifact import load_artifact
from chain.errors import LedgerUnusable
from chain.recursion import recursion_limit

with recursion_limit():  # py_ecc, which it loads, lifts it
    from web3 import Web3
    from web3.contract import Contract
    from web3.exceptions import Web3Exception


@cache
def contract() -> type[Contract]:
    """The contract by its ABI, at no address and on no chain; no two of its functions share a name."""
    return Web3().eth.contract(abi=load_artifact().abi)


def encode_call(name: str, arguments: Sequence[Any]) -> bytes:
    """A call's data.

    Raises:
        LedgerUnusable: The function's types do not hold the arguments.
    """
    try:
        data = contract().encode_abi(name, list(arguments))
    except (Web3Exception, EncodingError, TypeError, ValueError, OverflowError):
        taken = ", ".join(repr(argument) for argument in arguments)
        raise LedgerUnusable(f"{name} does not take ({taken})") from None
    return bytes.fromhex(data.removeprefix("0x"))


def decode_results(name: str, data: bytes) -> tuple[Any, ...]:
    """What a call returned; addresses in lower case.

    Raises:
        ValueError: The bytes are not of the function's types.
    """
    types = get_abi_output_types(contract().get_function_by_name(name).abi)
    try:
        return tuple(Web3().codec.decode(types, data))
    except (DecodingError, OverflowError) as error:
        raise ValueError(f"the result of {name} does not decode: {error}") from None
