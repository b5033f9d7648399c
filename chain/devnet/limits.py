"""What one request may cost. Where geth has a limit of the same kind, its number is the default.

Source: https://geth.ethereum.org/docs/fundamentals/command-line-options (`--rpc.evmtimeout`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass


class TooMuch(Exception):
    """The request asks for more than the devnet gives in one answer."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the devnet spends on a request, and on all that are open.

    Attributes:
        seconds: Computing time of one HTTP request, a whole batch included. A block full of gas in
            a plain loop takes about as long.
        logs: The most logs in one answer.
        answer_bytes: The most bytes of logs in one answer; a batch ends where its answers reach it.
        connections: Open at the same time.
        waiting_seconds: How long a connection may take to deliver its next request, and to take in
            the last answer.
    """

    seconds: float = 5.0
    logs: int = 10_000
    answer_bytes: int = 1 << 24
    connections: int = 100
    waiting_seconds: float = 30.0


DEFAULT_LIMITS = Limits()


class Deadline:
    """How much longer this thread may compute. A busy machine does not make it come earlier."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.restart()

    def restart(self) -> None:
        """Begin with a new request."""
        self._end = time.thread_time() + self._seconds

    @property
    def passed(self) -> bool:
        """Whether the time is up."""
        return time.thread_time() > self._end

    def check(self) -> None:
        """Go on only if there is time left.

        Raises:
            TooMuch: There is none.
        """
        if self.passed:
            raise TooMuch(f"execution aborted: it takes more than {self._seconds:g} s to compute")
