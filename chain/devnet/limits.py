"""Limits on the cost of a request. If geth has the same kind of limit, its value is the default.

Source: https://geth.ethereum.org/docs/fundamentals/command-line-options (`--rpc.evmtimeout`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass


class TooMuch(Exception):
    """The request costs more than the devnet spends on one answer."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits for a request, and for all open connections.

    Attributes:
        seconds: Computing time of one HTTP request, or of a whole batch. A plain loop that uses up a block's gas
            takes about as long.
        logs: The most logs in one answer.
        answer_bytes: The most bytes of logs in one answer; a batch ends when its answers reach it.
        connections: The most connections open at the same time.
        waiting_seconds: The longest that a connection may take to send its next request or to read its last answer.
    """

    seconds: float = 5.0
    logs: int = 10_000
    answer_bytes: int = 1 << 24
    connections: int = 100
    waiting_seconds: float = 30.0


DEFAULT_LIMITS = Limits()


class Deadline:
    """A limit on this thread's computing time, which a busy machine does not shorten."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.restart()

    def restart(self) -> None:
        """Start again, for a new request."""
        self._end = time.thread_time() + self._seconds

    @property
    def passed(self) -> bool:
        """Whether the time is up."""
        return time.thread_time() > self._end

    def check(self) -> None:
        """Raise if the time is up.

        Raises:
            TooMuch: The time is up.
        """
        if self.passed:
            raise TooMuch(f"execution aborted: it takes more than {self._seconds:g} s to compute")
