"""The contract's calls and results in Solidity's ABI encoding; web3 encodes and decodes them.

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

with recursion_limit():  # web3 loads py_ecc, which raises the limit.
    from web3 import Web3
    from web3.contract import Contract
    from web3.exceptions import Web3Exception


@cache
def contract() -> type[Contract]:
    """The contract's ABI as a web3 class without address or chain; each function name is unique."""
    return Web3().eth.contract(abi=load_artifact().abi)


def encode_call(name: str, arguments: Sequence[Any]) -> bytes:
    """Encode a call's data.

    Raises:
        LedgerUnusable: The arguments do not fit the function's types.
    """
    try:
        data = contract().encode_abi(name, list(arguments))
    except (Web3Exception, EncodingError, TypeError, ValueError, OverflowError):
        taken = ", ".join(repr(argument) for argument in arguments)
        raise LedgerUnusable(f"{name} does not take ({taken})") from None
    return bytes.fromhex(data.removeprefix("0x"))


def decode_results(name: str, data: bytes) -> tuple[Any, ...]:
    """Decode what a call returned; addresses are in lower case.

    Raises:
        ValueError: The bytes do not decode to the function's types.
    """
    types = get_abi_output_types(contract().get_function_by_name(name).abi)
    try:
        return tuple(contract().w3.codec.decode(types, data))
    except (DecodingError, OverflowError) as error:
        raise ValueError(f"the result of {name} does not decode: {error}") from None
