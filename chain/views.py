"""Questions that the contract answers without a transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from chain import answers
from chain.abi import decode_results, encode_call
from chain.endpoint import Question
from chain.types import Address

T = TypeVar("T")


def view_question(
    contract: Address,
    read: Callable[[Any], T],
    function: str,
    *arguments: Any,
    block: str = "latest",
    **fields: str,
) -> Question[T]:
    """What a function of the contract would return if it were called in a block.

    Args:
        contract: The contract's address.
        read: Makes a value of the function's single result.
        function, arguments: The call.
        block: By number or tag.
        fields: More of the call, such as `from` and `gas`, with JSON-RPC's names.
    """
    data = "0x" + encode_call(function, arguments).hex()

    def decode(answer: object) -> T:
        return read(decode_results(function, answers.data(answer))[0])

    return Question(decode, "eth_call", {"to": contract, "data": data, **fields}, block)
