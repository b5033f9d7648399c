"""The way to a chain: one connection to its JSON-RPC endpoint, and what its answers and errors mean to us.

The endpoint is not trusted. Its answers are bounded in time and bytes (`chain.transport`), in nesting and range
(`chain.answers`), and what it says is shown without what steers a terminal, cut, and without the key in its URL.

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
"""How long an answer may take as a whole, a second try included."""

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
        chain_id: The chain that is expected there; None takes any.
        seconds: How long the answer to one request may take as a whole.

    Raises:
        EndpointInvalid: It is no such URL.
        ChainUnreachable: Nothing answers JSON-RPC there.
        ChainMismatch: Another chain does.
    """
    connection = Connection(rpc_url, seconds)
    if chain_id not in (None, connection.chain_id):
        raise ChainMismatch(f"{connection} serves chain {connection.chain_id}, expected {chain_id}")
    return connection


def chain_id_at(rpc_url: str) -> int:
    """The id of the chain at an endpoint (EIP-155).

    Raises:
        ChainUnreachable: Nothing answers JSON-RPC there.
    """
    return connect(rpc_url).chain_id


class Connection:
    """An endpoint of a chain; as text, its scheme, host and port.

    Args:
        rpc_url: http:// or https:// URL.
        seconds: How long the answer to one request may take as a whole.

    Raises:
        EndpointInvalid: It is no such URL.
        As `ask`.
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
        """Ask for something and decode the answer.

        Everything that is asked may be asked again without harm, the sending of a signed transaction too; where no
        answer comes, it is: within a second when the connection fails, within `seconds` when it holds.

        Args:
            decode: One of `chain.answers`, which raises ValueError for what it does not take.
            params: JSON.

        Raises:
            CallRejected: The contract reverted.
            ChainRefused: The node refused for another reason, which the message gives.
            ChainUnreachable: No answer in time, or none that a chain would give.
        """
        result = self._result(method, params)
        try:
            return decode(result)
        except ValueError as error:
            raise ChainUnreachable(self._nonsense(method, error)) from None

    def _result(self, method: str, params: tuple[object, ...]) -> object:
        try:
            answer = self._provider.make_request(RPCEndpoint(method), params)
        except ValueError as error:
            raise ChainUnreachable(self._nonsense(method, error)) from None
        match answer:
            case {"error": dict() as refusal}:
                raise self._refusal(method, refusal)
            case _:
                return answer["result"]

    def _post(self, body: bytes) -> bytes:
        """Post until an answer comes; a failed connection is tried again, while there is time."""
        ends = time.monotonic() + self._seconds
        wait = FIRST_WAIT_SECONDS
        for attempt in itertools.count(1):
            try:
                return self._transport.post(body, self._seconds / 2)
            except NoAnswer as error:
                if attempt >= RETRIES or time.monotonic() + wait >= ends:
                    raise ChainUnreachable(f"no chain answers at {self}: {error}") from None
            except AnswerTooLong:
                raise ChainRefused(f"{self} refused: the answer is longer than is read") from None
            except StatusRefused as error:
                raise ChainRefused(f"{self} refused: {self._told(error)}") from None
            time.sleep(wait)
            wait *= 2
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _refusal(self, method: str, error: dict[str, object]) -> CallRejected | ChainRefused:
        message = self._told(error.get("message") or "it gave no reason")
        data = error.get("data")
        reverted = error.get("code") == _REVERTED or "revert" in message.lower()
        if method in _REVERTING and (reverted or revert_data(data)):
            return rejection_from(data, message)
        return ChainRefused(f"{self} refused: {message}")

    def _nonsense(self, method: str, why: object) -> str:
        return f"{self} does not answer {method} as a chain does: {self._told(why)}"

    def _told(self, text: object) -> str:
        """What the endpoint said, fit to be shown, without what only its user should know."""
        told = str(text)
        for secret in self._secrets:
            told = told.replace(secret, "***")
        return shown(told)


def _split(rpc_url: str) -> SplitResult:
    """Take a URL apart; one that is refused is not repeated, for there is no telling where its key is."""
    try:
        url = urlsplit(rpc_url)
        if url.scheme in ("http", "https") and url.hostname:
            _ = url.port
            return url
    except ValueError:
        pass
    scheme = _SCHEME.match(rpc_url)
    given = f"one that begins with {scheme[0]}" if scheme else "text that does not begin so"
    raise EndpointInvalid(f"expected an http:// or https:// URL of an endpoint, got {given}")


def _secrets(url: SplitResult) -> list[str]:
    """What in a URL may be a key, as it is written and as it is meant; longest first."""
    hidden = f"{url.netloc.rpartition('@')[0]}/{url.path}/{url.query}/{url.fragment}"
    parts = {*_PARTS.split(hidden), *_PARTS.split(unquote(hidden))}
    return sorted((part for part in parts if len(part) >= _LEAST_SECRET), key=len, reverse=True)
