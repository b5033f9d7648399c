"""One JSON-RPC endpoint: sends questions, several at once where it takes batches, and reads what comes back.

The endpoint is not trusted. Its answers are bounded in time and bytes (`chain.transport`) and in nesting and range
(`chain.answers`). Its text is shown shortened, without control characters, and without the key in its URL.

Source: https://www.jsonrpc.org/specification
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar
from urllib.parse import SplitResult, unquote

from chain import busy
from chain.errors import (
    CallRejected,
    ChainRefused,
    ChainUnreachable,
    EndpointInvalid,
    LedgerError,
)
from chain.provider import BoundedProvider, RPCEndpoint, RPCResponse
from chain.rejections import rejection_from, revert_data
from chain.text import shown
from chain.transport import AnswerTooLong, NoAnswer, StatusRefused, Transport
from chain.urls import http_parts, origin_of

_REVERTING = frozenset({"eth_call", "eth_estimateGas"})
_REVERTED = 3  # geth's code for a call that the contract reverted
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_PARTS = re.compile(r"[/:&=]")
_LEAST_SECRET = 6

T = TypeVar("T")


class Question(Generic[T]):
    """A question to a chain, and its answer once there is one.

    Args:
        decode: One of `chain.answers`; raises ValueError if the answer is not of its kind.
        method: The JSON-RPC method.
        params: Its parameters, as JSON values.
    """

    def __init__(self, decode: Callable[[object], T], method: str, *params: object) -> None:
        self.method, self.params = method, params
        self.answered = False
        self._decode = decode
        self._error: LedgerError | None = None
        self._value: T | None = None

    def take(self, result: object) -> None:
        """Decode the answer and keep it.

        Raises:
            ValueError: It is not of the expected kind.
        """
        self._value, self.answered = self._decode(result), True

    def fail(self, error: LedgerError) -> None:
        """Keep the reason why there is no answer."""
        self._error, self.answered = error, True

    def answer(self) -> T:
        """The answer.

        Raises:
            CallRejected: The contract reverted.
            ChainRefused: The node refused for another reason, given in the message.
            ChainUnreachable: The answer is none that a chain would give.
        """
        if self._error is not None:
            raise self._error
        if not self.answered:
            raise AssertionError("the question has not been asked")
        return self._value  # type: ignore[return-value]  # T may itself be optional


class Silent(Exception):
    """The endpoint gave no answer."""


class Busy(Exception):
    """The endpoint refused for now; `retry_after` is how many seconds it asks to wait, if it says so."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Endpoint:
    """An endpoint of a chain. Its `str` is scheme, host and port only.

    Args:
        rpc_url: http:// or https:// URL.
        seconds: How long a try may take, and again the whole answer.

    Raises:
        EndpointInvalid: `rpc_url` is not such a URL.
    """

    def __init__(self, rpc_url: str, seconds: float) -> None:
        url = _split(rpc_url)
        self._shown = origin_of(url)
        self._secrets = _secrets(url)
        self._transport = Transport(rpc_url)
        self._seconds = seconds
        self._provider = BoundedProvider(lambda body: self._transport.post(body, self._seconds))
        self._takes_batches = True
        self._failures = 0
        self.free_at = 0.0

    def __str__(self) -> str:
        return self._shown

    @property
    def takes_batches(self) -> bool:
        """Whether it answers several questions in one request, as far as it was asked to."""
        return self._takes_batches

    def succeeded(self) -> None:
        """Note that it answered."""
        self._failures, self.free_at = 0, 0.0

    def failed(self, retry_after: float | None = None) -> None:
        """Note that it is silent or busy: until `free_at`, on the monotonic clock, it is better left alone."""
        self._failures += 1
        self.free_at = time.monotonic() + busy.pause(self._failures, retry_after)

    def exchange(self, questions: Sequence[Question[Any]]) -> None:
        """Send one HTTP request with the questions, or with the first only if no batches are taken here.

        What was answered is noted in the questions. Whoever calls asks the rest again.

        Raises:
            Silent: No answer came.
            Busy: Some questions, or all, were refused for now.
            ChainRefused: The endpoint refuses to answer at all.
            ChainUnreachable: What answers is not a chain.
        """
        if len(questions) > 1 and self._takes_batches:
            self._exchange_batch(questions)
        else:
            self._exchange_one(questions[0])

    def _exchange_one(self, question: Question[Any]) -> None:
        request = RPCEndpoint(question.method), question.params
        try:
            answer = self._sent(lambda: self._provider.make_request(*request))
        except AnswerTooLong:
            raise ChainRefused(f"{self} refused: the answer is too long to be read") from None
        except StatusRefused as error:
            raise ChainRefused(f"{self} refused: {self._presentable(error)}") from None
        except ValueError as error:
            raise ChainUnreachable(self._unexpected(question.method, error)) from None
        self._note([question], [answer])

    def _exchange_batch(self, questions: Sequence[Question[Any]]) -> None:
        requests = [(RPCEndpoint(question.method), question.params) for question in questions]
        try:
            answers = self._sent(lambda: self._provider.make_batch_request(requests))
        except (AnswerTooLong, StatusRefused, ValueError):
            self._takes_batches = False
            return
        if isinstance(answers, list):
            self._note(questions, answers)
            return
        self._raise_if_busy("", answers["error"])
        self._takes_batches = False

    def _sent(self, send: Callable[[], T]) -> T:
        try:
            return send()
        except NoAnswer as error:
            raise Silent(f"no chain answers at {self}: {error}") from None
        except StatusRefused as error:
            if error.status not in busy.STATUSES:
                raise
            reason = f"{self} refused: {self._presentable(error)}"
            raise Busy(reason, error.retry_after) from None

    def _note(self, questions: Sequence[Question[Any]], answers: Sequence[RPCResponse]) -> None:
        """Note the answers in their questions; the busy ones are left, and raised at the end."""
        refused: Busy | None = None
        for question, answer in zip(questions, answers, strict=True):
            try:
                self._note_one(question, answer)
            except Busy as error:
                refused = error
        if refused is not None:
            raise refused

    def _note_one(self, question: Question[Any], answer: RPCResponse) -> None:
        if "error" in answer:
            self._raise_if_busy(question.method, answer["error"])
            question.fail(self._refusal(question.method, answer["error"]))
            return
        try:
            question.take(answer["result"])
        except ValueError as error:
            question.fail(ChainUnreachable(self._unexpected(question.method, error)))

    def _raise_if_busy(self, method: str, error: Any) -> None:
        message = str(error.get("message"))
        if busy.is_busy(method, error.get("code"), message):
            raise Busy(f"{self} refused: {self._presentable(message)}")

    def _refusal(self, method: str, error: Any) -> CallRejected | ChainRefused:
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
    url = http_parts(rpc_url)
    if url is not None:
        return url
    scheme = _SCHEME.match(rpc_url)
    given = f"one that begins with {scheme[0]}" if scheme else "other text"
    raise EndpointInvalid(f"expected an http:// or https:// URL of an endpoint, got {given}")


def _secrets(url: SplitResult) -> list[str]:
    """The parts of a URL that may be a key, as written and percent-decoded; longest first."""
    hidden = f"{url.netloc.rpartition('@')[0]}/{url.path}/{url.query}/{url.fragment}"
    parts = {*_PARTS.split(hidden), *_PARTS.split(unquote(hidden))}
    return sorted((part for part in parts if len(part) >= _LEAST_SECRET), key=len, reverse=True)
