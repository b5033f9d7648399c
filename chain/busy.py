"""Refusals that pass by themselves: which ones they are, and how long to wait before asking again.

Public endpoints limit the requests of a second, and fail for moments. A refusal of this kind says nothing about the
question, so it is asked again. Waits are random, so that members who were refused together do not come back together.

Sources: RFC 9110, 10.2.3 (Retry-After) and 15.6; RFC 6585, 4 (429); "Exponential Backoff And Jitter", AWS Architecture
Blog, 2015 (full jitter).
"""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

STATUSES = frozenset({429, 502, 503, 504})
"""Of HTTP: too many requests, and a server behind the endpoint that is down, overloaded or slow."""

FIRST_WAIT_SECONDS = 0.05
MAX_WAIT_SECONDS = 10.0
MAX_ASKED_SECONDS = 600.0
"""The longest wait that an endpoint can ask for; what it asks for beyond that is not believed."""

_CODES = frozenset({429, -32097, -32029, -32016})
_LIMIT = -32005  # EIP-1474's "limit exceeded": of requests, but also of what one answer may cost
_COSTS = re.compile(r"aborted|results|blocks?\b|range")
_WORDS = re.compile(
    r"rate.?limit|too many request|requests? (?:per|limit|rate|count)|per second|capacity|throughput"
    r"|compute units|throttl|overloaded|quota|over rate|try again"
)
_SECONDS = re.compile(r"\d{1,9}")


def is_busy(method: str, code: object, message: str) -> bool:
    """Whether a JSON-RPC error means only that the endpoint is busy.

    Args:
        method: What was asked. For `eth_getLogs`, EIP-1474's limit is one of blocks or logs: ask for fewer instead.
        code: The error's code, as the endpoint sent it.
        message: Its message.
    """
    said = message.lower()
    if _WORDS.search(said) or (isinstance(code, int) and code in _CODES):
        return True
    return code == _LIMIT and method != "eth_getLogs" and not _COSTS.search(said)


def retry_after(header: str | None, now: datetime | None = None) -> float | None:
    """The seconds that a Retry-After header asks to wait, 0 to 600; None if there is none that can be read.

    Args:
        header: Its value: a number of seconds, or a date.
        now: The time to which a date is compared; the clock's, unless given.
    """
    text = (header or "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), MAX_ASKED_SECONDS)
    try:
        date = parsedate_to_datetime(text)
        seconds = (date.astimezone(UTC) - (now or datetime.now(UTC))).total_seconds()
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
    return min(max(seconds, 0.0), MAX_ASKED_SECONDS)


def pause(failures: int, asked: float | None = None) -> float:
    """How many seconds to wait after so many failures in a row, 1 or more: what was asked for, and a random share."""
    most = min(FIRST_WAIT_SECONDS * 2.0 ** min(failures, 16), MAX_WAIT_SECONDS)
    return (asked or 0.0) + random.uniform(0.0, most)
