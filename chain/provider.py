"""A web3 provider whose answers are bounded in time and bytes and parsed with care.

web3's own provider reads answers of any length for as long as bytes arrive, and parses any depth of nesting.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from chain import answers
from chain.recursion import recursion_limit

with recursion_limit():  # web3 loads py_ecc, which raises the limit.
    from web3.providers import JSONBaseProvider
    from web3.types import RPCEndpoint, RPCResponse

__all__ = ["BoundedProvider", "RPCEndpoint"]


class BoundedProvider(JSONBaseProvider):
    """Sends requests to one endpoint.

    Args:
        post: Sends a request's body and returns the answer's body, bounded in time and bytes.
    """

    def __init__(self, post: Callable[[bytes], bytes]) -> None:
        super().__init__()
        self._post = post

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Send a request and return its answer, which has an `error` object or a `result`.

        Raises:
            ValueError: The answer is not JSON, nested too deep, or not an answer to this request.
        """
        request = self.encode_rpc_request(method, params)
        number = json.loads(request)["id"]
        answer: Any = answers.parse_json(self._post(request))
        match answer:
            case {"error": dict()}:
                return cast(RPCResponse, answer)
            case {"id": echoed, "result": _} if echoed == number:
                return cast(RPCResponse, answer)
            case _:
                raise ValueError("it is not a JSON-RPC answer to this request")
