"""A connection to a chain, over one JSON-RPC endpoint or several.

A question that an endpoint is too busy for, or that gets no answer, is asked again: at the next endpoint at once, at
the same one after a while. So nothing that a caller already has is lost to one refusal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from chain import answers
from chain.endpoint import Busy, Endpoint, Question, Silent
from chain.errors import (
    ChainMismatch,
    ChainUnreachable,
    EndpointInvalid,
    LedgerUnusable,
)
from chain.pace import Pace

REQUEST_SECONDS = 20.0
"""The longest to wait for the answer to one question while no endpoint says anything at all."""

PATIENCE_SECONDS = 60.0
"""The longest that one question is asked again while endpoints say that they are busy."""

SILENCES = 6
"""So many tries in a row without an answer, at each endpoint, and the chain counts as out of reach."""

T = TypeVar("T")
Urls = str | Sequence[str]
"""The URL of an endpoint, or the URLs of several of the same chain."""


def connect(
    rpc_urls: Urls,
    chain_id: int | None = None,
    seconds: float = REQUEST_SECONDS,
    patience: float = PATIENCE_SECONDS,
) -> Connection:
    """Connect to a chain over HTTP.

    Args:
        rpc_urls: http:// or https:// URLs of endpoints.
        chain_id: The expected chain; None accepts any.
        seconds, patience: As for `Connection`.

    Raises:
        EndpointInvalid: A URL is not such a one, or there is none.
        ChainUnreachable: No JSON-RPC endpoint answers there.
        ChainMismatch: An endpoint serves another chain.
    """
    connection = Connection(rpc_urls, seconds, patience)
    if chain_id not in (None, connection.chain_id):
        raise ChainMismatch(f"{connection} serves chain {connection.chain_id}, expected {chain_id}")
    return connection


def chain_id_at(rpc_urls: Urls) -> int:
    """The id of the chain at an endpoint (EIP-155).

    Raises:
        ChainUnreachable: No JSON-RPC endpoint answers there.
    """
    return connect(rpc_urls).chain_id


class Connection:
    """A chain, as its endpoints show it. Its `str` is where the last answer came from: scheme, host and port only.

    The endpoint that answers is asked until it fails; then the next one is.

    Attributes:
        pace: How fast the chain makes blocks; whoever reads its newest block tells it.

    Args:
        rpc_urls: http:// or https:// URLs of endpoints.
        seconds: The longest that a question may take while no endpoint says anything.
        patience: The longest that it is asked again while endpoints say that they are busy.
        chain_id: The chain, if it is known; then the endpoints are asked for it at the first question.

    Raises:
        EndpointInvalid: A URL is not such a one, or there is none.
        ChainMismatch: An endpoint serves another chain than the others.
        Others as for `ask`.
    """

    def __init__(
        self,
        rpc_urls: Urls,
        seconds: float = REQUEST_SECONDS,
        patience: float = PATIENCE_SECONDS,
        chain_id: int | None = None,
    ) -> None:
        urls = [rpc_urls] if isinstance(rpc_urls, str) else list(rpc_urls)
        if not urls:
            raise EndpointInvalid("expected the URL of an endpoint, got none")
        self._endpoints = [Endpoint(url, seconds / 2) for url in urls]
        self._urls = urls
        self._current = self._endpoints[0]
        self._seconds, self._patience = seconds, patience
        self.pace = Pace()
        self._chain_id = chain_id
        self._verified: set[Endpoint] = set()
        if chain_id is None:
            self._chain_id = self.ask(answers.chain_id, "eth_chainId")
            self._verified.add(self._current)

    @property
    def chain_id(self) -> int:
        """The chain's id (EIP-155)."""
        assert self._chain_id is not None
        return self._chain_id

    def __str__(self) -> str:
        return str(self._current)

    @property
    def takes_batches(self) -> bool:
        """Whether the endpoint of the last answer takes several questions in one request, as far as it was asked to."""
        return self._current.takes_batches

    def each(self) -> list[Connection]:
        """A connection to each endpoint by itself, for questions that several should answer alike.

        Raises:
            EndpointInvalid: There are fewer than two.
        """
        if len(self._urls) < 2:
            raise EndpointInvalid(
                "two endpoints are needed to confirm what one says; one was given"
            )
        return [Connection(url, self._seconds, self._patience, self.chain_id) for url in self._urls]

    def ask(self, decode: Callable[[object], T], method: str, *params: object) -> T:
        """Ask a question and return its answer.

        Every question can be repeated without harm, even one that sends a signed transaction.

        Args:
            decode: One of `chain.answers`; raises ValueError if the answer is not of its kind.
            method: The JSON-RPC method.
            params: Its parameters, as JSON values.

        Raises:
            CallRejected: The contract reverted.
            ChainRefused: The node refused for another reason, given in the message.
            ChainUnreachable: No answer came in time, as every endpoint was silent or busy, or none that a chain would
                give.
            ChainMismatch: An endpoint serves another chain.
        """
        return self.answer_to(Question(decode, method, *params))

    def answer_to(self, question: Question[T]) -> T:
        """Ask a question that is at hand and return its answer. Raises as `ask` does."""
        self.ask_all([question])
        return question.answer()

    def ask_all(self, questions: Sequence[Question[Any]]) -> None:
        """Ask questions, in one HTTP request where the endpoint allows that; each then has its answer or its error.

        Raises:
            ChainRefused, ChainUnreachable, ChainMismatch: As for `ask`, for the whole.
        """
        trying = _Trying(self._endpoints, self._seconds, self._patience)
        while left := [question for question in questions if not question.answered]:
            endpoint = trying.best(self._current)
            try:
                self._verify_chain(endpoint)
                endpoint.exchange(left)
            except (Silent, Busy, LedgerUnusable) as error:
                trying.failed(endpoint, error)
            else:
                trying.succeeded(endpoint)
                self._current = endpoint

    def _verify_chain(self, endpoint: Endpoint) -> None:
        """Ask an endpoint that has not answered before whether it serves the same chain as the others."""
        if self._chain_id is None or endpoint in self._verified:
            return
        question = Question(answers.chain_id, "eth_chainId")
        endpoint.exchange([question])
        if question.answer() != self._chain_id:
            raise ChainMismatch(
                f"{endpoint} serves chain {question.answer()}, expected {self._chain_id}"
            )
        self._verified.add(endpoint)


class _Trying:
    """The tries at one question: which endpoint is next, and when it is enough."""

    def __init__(self, endpoints: Sequence[Endpoint], seconds: float, patience: float) -> None:
        self._endpoints = list(endpoints)
        self._seconds = seconds
        self._ends = time.monotonic() + patience
        self._silences = 0
        self._silent_since = time.monotonic()

    def best(self, current: Endpoint) -> Endpoint:
        """The endpoint that can be asked first, `current` if it is one of them; returns when it can be."""
        now = time.monotonic()
        best = min(self._endpoints, key=lambda one: (max(one.free_at, now), one is not current))
        time.sleep(max(0.0, min(best.free_at, self._ends) - now))
        return best

    def succeeded(self, endpoint: Endpoint) -> None:
        endpoint.succeeded()
        self._hear()

    def failed(self, endpoint: Endpoint, error: Silent | Busy | LedgerUnusable) -> None:
        """Note a failure.

        Raises:
            LedgerUnusable: It was the last try.
        """
        match error:
            case Silent():
                self._note_silence(endpoint, error)
            case Busy():
                self._hear()
                endpoint.failed(error.retry_after)
                if self._next_free() > self._ends:
                    raise ChainUnreachable(str(error)) from None
            case _:
                self._hear()
                self._endpoints.remove(endpoint)
                if not self._endpoints:
                    raise error

    def _note_silence(self, endpoint: Endpoint, error: Silent) -> None:
        endpoint.failed()
        self._silences += 1
        ends = self._silent_since + self._seconds
        if self._silences >= SILENCES * len(self._endpoints) or self._next_free() > ends:
            raise ChainUnreachable(str(error)) from None

    def _hear(self) -> None:
        self._silences, self._silent_since = 0, time.monotonic()

    def _next_free(self) -> float:
        return max(time.monotonic(), min(endpoint.free_at for endpoint in self._endpoints))
