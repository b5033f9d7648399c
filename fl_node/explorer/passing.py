"""Questions that the page asks of the chain, passed on to an endpoint.

A page cannot ask most endpoints by itself: they answer no web pages (CORS), and the local test chain refuses every
request that has an `Origin`. So the page asks its own server, which asks the endpoint and changes nothing. It passes on
questions only, and no transaction.
"""

from __future__ import annotations

import json
from typing import Any

from chain import answers
from chain.connection import Connection
from chain.endpoint import Question
from chain.errors import LedgerError
from chain.text import shown

MAX_BATCH = 100
METHODS = frozenset(
    {
        "eth_blockNumber",
        "eth_call",
        "eth_chainId",
        "eth_getBlockByHash",
        "eth_getBlockByNumber",
        "eth_getCode",
        "eth_getLogs",
        "eth_getProof",
        "eth_getTransactionReceipt",
    }
)
"""What the page asks. None of these changes anything."""

INVALID, UNKNOWN, REFUSED = -32600, -32601, -32000
"""JSON-RPC's codes for no request, for no such method, and an endpoint's for whatever it does not do."""


def passed_on(connection: Connection, body: bytes) -> bytes:
    """Answer a JSON-RPC request, or a batch of them (https://www.jsonrpc.org/specification).

    Args:
        body: At most some megabytes; anybody may have sent them.
    """
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return _bytes(_error(None, INVALID, "expected JSON"))
    if not isinstance(given, list):
        return _bytes(_answers(connection, [given])[0])
    if not 1 <= len(given) <= MAX_BATCH:
        return _bytes(_error(None, INVALID, f"a batch has 1 to {MAX_BATCH} requests"))
    return _bytes(_answers(connection, given))


def _answers(connection: Connection, given: list[object]) -> list[dict[str, Any]]:
    """The answers, in the order of the requests."""
    asked = [_question(one) for one in given]
    questions = [one for one in asked if isinstance(one, Question)]
    failure = ""
    try:
        connection.ask_all(questions)
    except LedgerError as error:
        failure = shown(error)
    return [
        _answer(_id_of(request), one, failure) if isinstance(one, Question) else one
        for request, one in zip(given, asked, strict=True)
    ]


def _question(request: object) -> Question[object] | dict[str, Any]:
    """The question that a request asks, or the error that it gets instead."""
    if not isinstance(request, dict) or not isinstance(request.get("method"), str):
        return _error(None, INVALID, "expected an object with a method")
    method, params = request["method"], request.get("params", [])
    if method not in METHODS:
        return _error(_id_of(request), UNKNOWN, f"the page does not ask for {shown(method)}")
    if not isinstance(params, list):
        return _error(_id_of(request), INVALID, "expected params as a list")
    return Question(answers.anything, method, *params)


def _answer(number: object, question: Question[object], failure: str) -> dict[str, Any]:
    if not question.answered:
        return _error(number, REFUSED, failure)
    try:
        return {"jsonrpc": "2.0", "id": number, "result": question.answer()}
    except LedgerError as error:
        return _error(number, REFUSED, shown(error))


def _id_of(request: object) -> object:
    number = request.get("id") if isinstance(request, dict) else None
    return number if isinstance(number, str | int) else None


def _error(number: object, code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}}


def _bytes(answer: object) -> bytes:
    return json.dumps(answer).encode()
