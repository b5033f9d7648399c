"""web3's way to an endpoint, over a transport that bounds what comes back and with a careful reading of it.

web3's own provider reads an answer of any length, for as long as bytes drip in, and parses it however deep it nests.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from chain import answers
from chain.recursion import recursion_limit

with recursion_limit():  # py_ecc, which it loads, lifts it
    from web3.providers import JSONBaseProvider
    from web3.types import RPCEndpoint, RPCResponse

__all__ = ["BoundedProvider", "RPCEndpoint"]


class BoundedProvider(JSONBaseProvider):
    """Asks one endpoint.

    Args:
        post: Sends the body of a request and returns that of its answer, bounded in time and bytes.
    """

    def __init__(self, post: Callable[[bytes], bytes]) -> None:
        super().__init__()
        self._post = post

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Ask, and return an answer to this request: with an `error` that is an object, or a `result`.

        Raises:
            ValueError: It is no JSON, nested too deep, or no answer to this request.
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
                raise ValueError("it is no JSON-RPC answer to this request")
