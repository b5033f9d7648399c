"""JSON-RPC 2.0: requests and batches from bytes, answers and errors to bytes.

Source: https://www.jsonrpc.org/specification, and geth for further codes: 3 is a revert, with the revert data as
`data`; -32000 is a refusal; -32005 is a limit.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sqlite3
from itertools import accumulate
from typing import Any, NoReturn

from chain.devnet.blocks import Failed, Refused
from chain.devnet.limits import TooMuch
from chain.devnet.methods import Methods, MethodUnknown
from chain.devnet.params import ParamsInvalid

MAX_BATCH = 1000
MAX_BRACKETS = 10_000
MAX_DEPTH = 32
"""The deepest nesting of brackets; a filter in a batch has 6 levels."""

INVALID_REQUEST = -32600

_CODES: dict[type[Exception], int] = {
    MethodUnknown: -32601,
    ParamsInvalid: -32602,
    TooMuch: -32005,
    Refused: -32000,
}
_SURROGATE = re.compile("[\ud800-\udfff]")
_log = logging.getLogger(__name__)


def answer_body(methods: Methods, body: bytes) -> bytes:
    """Answer the body of an HTTP request: one JSON-RPC request, or a batch. Never raises.

    Returns:
        JSON; empty if every request is a notification.
    """
    methods.chain.deadline.restart()
    if _is_nested(body):
        return error_body(
            f"a request holds at most {MAX_BRACKETS} brackets, {MAX_DEPTH} of them nested"
        )
    try:
        request = json.loads(body.decode(), parse_constant=_refuse_constant)
    except ValueError:
        return _encode(_error(None, -32700, "parse error"))
    if isinstance(request, list):
        return _answer_batch(methods, request)
    answer = _answer(methods, request)
    return b"" if answer is None else _encode(answer)


def error_body(message: str) -> bytes:
    """The answer to a body that is not a request."""
    return _encode(_error(None, INVALID_REQUEST, message))


def _is_nested(body: bytes) -> bool:
    """Whether the body is nested too deep to be parsed. Brackets inside strings count as well."""
    if sum(body.count(bracket) for bracket in b"[]{}") > MAX_BRACKETS:
        return True
    brackets = re.findall(rb"[\[\]{}]", body)
    depths = accumulate(1 if bracket in b"[{" else -1 for bracket in brackets)
    return max(depths, default=0) > MAX_DEPTH


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")  # NaN and Infinity, which Python would accept.


def _answer_batch(methods: Methods, requests: list[Any]) -> bytes:
    if not 1 <= len(requests) <= MAX_BATCH:
        return error_body(f"a batch holds 1 to {MAX_BATCH} requests")
    answers: list[bytes] = []
    left = methods.chain.limits.answer_bytes
    for request in requests:
        answer = _answer(methods, request) if left > 0 else _unanswered(request)
        if answer is not None:
            answers.append(_encode(answer))
            left -= len(answers[-1])
    return b"[" + b",".join(answers) + b"]" if answers else b""


def _unanswered(request: Any) -> dict[str, Any]:
    number = request["id"] if _is_request(request) and "id" in request else None
    return _error(number, _CODES[TooMuch], "the answers to this batch are already too long")


def _answer(methods: Methods, request: Any) -> dict[str, Any] | None:
    """Answer one request; None for a notification, which has no id."""
    if not _is_request(request):
        return _error(None, INVALID_REQUEST, "invalid request")
    params = request.get("params") or []
    if not isinstance(params, list):
        return _error(request.get("id"), _CODES[ParamsInvalid], "params must be an array")
    answer = _result(methods, request.get("id"), request["method"], params)
    return answer if "id" in request else None


def _is_request(request: Any) -> bool:
    return (
        isinstance(request, dict)
        and isinstance(request.get("method"), str)
        and _is_id(request.get("id"))
    )


def _is_id(value: Any) -> bool:
    """Whether a value can be a request's id: text, a finite number, or null."""
    if isinstance(value, str):
        return not _SURROGATE.search(value)
    if isinstance(value, float):
        return math.isfinite(value)  # Python reads 1e999 as infinity.
    return value is None or (isinstance(value, int) and not isinstance(value, bool))


def _result(methods: Methods, number: Any, method: str, params: list[Any]) -> dict[str, Any]:
    try:
        return {"jsonrpc": "2.0", "id": number, "result": methods.call(method, params)}
    except Failed as error:
        if error.data is None:
            return _error(number, -32000, str(error))
        return _error(number, 3, str(error), "0x" + error.data.hex())
    except tuple(_CODES) as error:
        return _error(number, _CODES[type(error)], str(error))
    except sqlite3.Error as error:
        return _error(number, -32603, f"the devnet's database: {error}")
    except Exception:
        _log.exception("%s failed", method)
        return _error(number, -32603, "internal error")


def _error(number: Any, code: int, message: str, data: str | None = None) -> dict[str, Any]:
    error = {"code": code, "message": message} | ({} if data is None else {"data": data})
    return {"jsonrpc": "2.0", "id": number, "error": error}


def _encode(answer: object) -> bytes:
    return json.dumps(answer).encode()
