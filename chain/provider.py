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

__all__ = ["BoundedProvider", "RPCEndpoint", "RPCResponse"]


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

    def make_batch_request(
        self, requests: list[tuple[RPCEndpoint, Any]]
    ) -> list[RPCResponse] | RPCResponse:
        """Send several requests at once and return their answers, in the order of the requests.

        An endpoint that refuses the batch as a whole answers with one error; it is returned.

        Raises:
            ValueError: The answer is not JSON, nested too deep, or does not answer every request.
        """
        body = self.encode_batch_rpc_request(requests)
        numbers = [request["id"] for request in json.loads(body)]
        answer: Any = answers.parse_json(self._post(body))
        if isinstance(answer, dict) and isinstance(answer.get("error"), dict):
            return cast(RPCResponse, answer)
        found = _by_number(answer)
        if sorted(found) != sorted(numbers):
            raise ValueError("it does not answer each request of the batch once")
        return [found[number] for number in numbers]


def _by_number(batch: Any) -> dict[int, RPCResponse]:
    """The answers of a batch by their requests' numbers; those of another form are left out."""
    found: dict[int, RPCResponse] = {}
    for answer in batch if isinstance(batch, list) else []:
        match answer:
            case {"id": int(number), "error": dict()} | {"id": int(number), "result": _}:
                found[number] = cast(RPCResponse, answer)
    return found
