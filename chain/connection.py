"""A connection to a chain's JSON-RPC endpoint, and the meaning of its answers and errors.

The endpoint is not trusted. Its answers are bounded in time and bytes (`chain.transport`) and in nesting and range
(`chain.answers`). Its text is shown shortened, without control characters, and without the key in its URL.

Source: https://www.jsonrpc.org/specification
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

from chain import answers
from chain.errors import (
    CallRejected,
    ChainMismatch,
    ChainRefused,
    ChainUnreachable,
    EndpointInvalid,
)
from chain.provider import BoundedProvider, RPCEndpoint
from chain.rejections import rejection_from, revert_data
from chain.text import shown
from chain.transport import AnswerTooLong, NoAnswer, StatusRefused, Transport

REQUEST_SECONDS = 20.0
"""The longest that an answer may take, second attempt included."""

RETRIES = 4
FIRST_WAIT_SECONDS = 0.1

_REVERTING = frozenset({"eth_call", "eth_estimateGas"})
_REVERTED = 3  # geth's code for a call that the contract reverted
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_PARTS = re.compile(r"[/:&=]")
_LEAST_SECRET = 6

T = TypeVar("T")


def connect(
    rpc_url: str, chain_id: int | None = None, seconds: float = REQUEST_SECONDS
) -> Connection:
    """Connect to a chain over HTTP.

    Args:
        rpc_url: http:// or https:// URL of an endpoint.
        chain_id: The expected chain; None accepts any.
        seconds: How long the answer to one request may take as a whole.

    Raises:
        EndpointInvalid: `rpc_url` is not such a URL.
        ChainUnreachable: No JSON-RPC endpoint answers there.
        ChainMismatch: The endpoint serves another chain.
    """
    connection = Connection(rpc_url, seconds)
    if chain_id not in (None, connection.chain_id):
        raise ChainMismatch(f"{connection} serves chain {connection.chain_id}, expected {chain_id}")
    return connection


def chain_id_at(rpc_url: str) -> int:
    """The id of the chain at an endpoint (EIP-155).

    Raises:
        ChainUnreachable: No JSON-RPC endpoint answers there.
    """
    return connect(rpc_url).chain_id


class Connection:
    """An endpoint of a chain. Its `str` is scheme, host and port only.

    Args:
        rpc_url: http:// or https:// URL.
        seconds: How long the answer to one request may take as a whole.

    Raises:
        EndpointInvalid: `rpc_url` is not such a URL.
        Others as for `ask`.
    """

    def __init__(self, rpc_url: str, seconds: float = REQUEST_SECONDS) -> None:
        url = _split(rpc_url)
        self._shown = f"{url.scheme}://{url.netloc.rpartition('@')[2]}"
        self._secrets = _secrets(url)
        self._transport = Transport(rpc_url)
        self._seconds = seconds
        self._provider = BoundedProvider(self._post)
        self.chain_id = self.ask(answers.chain_id, "eth_chainId")

    def __str__(self) -> str:
        return self._shown

    def ask(self, decode: Callable[[object], T], method: str, *params: object) -> T:
        """Send a request and decode the answer.

        Every request can be repeated without harm, even one that sends a signed transaction. A request without an
        answer is repeated: within a second if the connection fails, within `seconds` if it holds.

        Args:
            decode: One of `chain.answers`; raises ValueError if the answer is not of its kind.
            method: The JSON-RPC method.
            params: Its parameters, as JSON values.

        Raises:
            CallRejected: The contract reverted.
            ChainRefused: The node refused for another reason, given in the message.
            ChainUnreachable: No answer came in time, or none that a chain would give.
        """
        result = self._result(method, params)
        try:
            return decode(result)
        except ValueError as error:
            raise ChainUnreachable(self._unexpected(method, error)) from None

    def _result(self, method: str, params: tuple[object, ...]) -> object:
        try:
            answer = self._provider.make_request(RPCEndpoint(method), params)
        except ValueError as error:
            raise ChainUnreachable(self._unexpected(method, error)) from None
        match answer:
            case {"error": dict() as refusal}:
                raise self._refusal(method, refusal)
            case _:
                return answer["result"]

    def _post(self, body: bytes) -> bytes:
        """Post a request, again after a failed connection while there is time, until an answer comes."""
        ends = time.monotonic() + self._seconds
        wait = FIRST_WAIT_SECONDS
        for attempt in itertools.count(1):
            try:
                return self._transport.post(body, self._seconds / 2)
            except NoAnswer as error:
                if attempt >= RETRIES or time.monotonic() + wait >= ends:
                    raise ChainUnreachable(f"no chain answers at {self}: {error}") from None
            except AnswerTooLong:
                raise ChainRefused(f"{self} refused: the answer is too long to be read") from None
            except StatusRefused as error:
                raise ChainRefused(f"{self} refused: {self._presentable(error)}") from None
            time.sleep(wait)
            wait *= 2
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _refusal(self, method: str, error: dict[str, object]) -> CallRejected | ChainRefused:
        message = self._presentable(error.get("message") or "it gave no reason")
        data = error.get("data")
        reverted = error.get("code") == _REVERTED or "revert" in message.lower()
        if method in _REVERTING and (reverted or revert_data(data)):
            return rejection_from(data, message)
        return ChainRefused(f"{self} refused: {message}")

    def _unexpected(self, method: str, why: object) -> str:
        return f"{self} does not answer {method} as a chain does: {self._presentable(why)}"

    def _presentable(self, text: object) -> str:
        """The endpoint's text, fit to be shown, with the secrets of its URL replaced."""
        presented = str(text)
        for secret in self._secrets:
            presented = presented.replace(secret, "***")
        return shown(presented)


def _split(rpc_url: str) -> SplitResult:
    """Split a URL. The error does not repeat an invalid one, because a key may be anywhere in it."""
    try:
        url = urlsplit(rpc_url)
        if url.scheme in ("http", "https") and url.hostname:
            _ = url.port
            return url
    except ValueError:
        pass
    scheme = _SCHEME.match(rpc_url)
    given = f"one that begins with {scheme[0]}" if scheme else "other text"
    raise EndpointInvalid(f"expected an http:// or https:// URL of an endpoint, got {given}")


def _secrets(url: SplitResult) -> list[str]:
    """The parts of a URL that may be a key, as written and percent-decoded; longest first."""
    hidden = f"{url.netloc.rpartition('@')[0]}/{url.path}/{url.query}/{url.fragment}"
    parts = {*_PARTS.split(hidden), *_PARTS.split(unquote(hidden))}
    return sorted((part for part in parts if len(part) >= _LEAST_SECRET), key=len, reverse=True)
