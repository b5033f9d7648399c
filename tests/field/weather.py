"""What a bad network does to a request, as numbers; and the dice that decide, from a seed.

The dice fall in a fixed order, but several clients ask at once, so that a seed repeats the weather and not every gust.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Weather:
    """How an endpoint behaves. The shares are of requests, each from 0 to 1; the default is good weather.

    Attributes:
        latency: Seconds that each request takes longer.
        refused: Share answered with 429, 502, 503 or 504, and not passed on.
        cut_before: Share whose connection ends before the endpoint has the request.
        cut_after: Share whose connection ends after the endpoint has carried the request out, half-way through the
            answer.
        drips: Share whose answer comes in small pieces, over `drip_seconds`.
        lies: Share answered wrongly: the chain as it was, a blob that is missing or garbled. Asked again, it may heal.
        rate: The most requests a second, in bursts of up to `rate`; more are answered with 429. None: no limit.
        down: Whether nobody answers: each connection is closed at once.
    """

    latency: float = 0.0
    refused: float = 0.0
    cut_before: float = 0.0
    cut_after: float = 0.0
    drips: float = 0.0
    drip_seconds: float = 1.0
    lies: float = 0.0
    rate: float | None = None
    down: bool = False


FINE = Weather()
STATUSES = (429, 502, 503, 504)


class Fault(StrEnum):
    """What happens to a request."""

    NONE = "passed"
    REFUSED = "refused"
    CUT_BEFORE = "cut before"
    CUT_AFTER = "cut after"
    DRIP = "dripped"
    LIE = "lied to"


class Dice:
    """Decides for one request after the other, from a seed."""

    def __init__(self, seed: object) -> None:
        self._random = random.Random(str(seed))

    def fault(self, weather: Weather) -> Fault:
        """What happens to the next request."""
        thrown = self._random.random()
        for fault, share in (
            (Fault.REFUSED, weather.refused),
            (Fault.CUT_BEFORE, weather.cut_before),
            (Fault.CUT_AFTER, weather.cut_after),
            (Fault.DRIP, weather.drips),
            (Fault.LIE, weather.lies),
        ):
            if thrown < share:
                return fault
            thrown -= share
        return Fault.NONE

    def status(self) -> int:
        """The status of a refusal."""
        return self._random.choice(STATUSES)

    def heads(self) -> bool:
        return self._random.random() < 0.5


class Bucket:
    """A token bucket: so many requests a second, and as many at once after a rest. Several proxies may share one."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._tokens, self._seen = rate, time.monotonic()

    def take(self) -> float:
        """Take a token. 0 if there was one, else the seconds until there is."""
        now = time.monotonic()
        self._tokens = min(self.rate, self._tokens + (now - self._seen) * self.rate)
        self._seen = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self.rate


@dataclass
class Lane:
    """One direction of a member's line: what was sent before is in the way of what comes after.

    Attributes:
        rate: Bytes a second; None is no limit.
    """

    rate: float | None = None
    _free_at: float = 0.0

    async def carry(self, size: int) -> None:
        """Wait for as long as so many bytes take."""
        if self.rate is None:
            return
        now = time.monotonic()
        self._free_at = max(now, self._free_at) + size / self.rate
        await asyncio.sleep(self._free_at - now)


@dataclass
class Link:
    """A member's line to the world, which its chain and its store share."""

    up: Lane = field(default_factory=Lane)
    down: Lane = field(default_factory=Lane)


def megabits(number: float) -> float:
    """Megabits a second as bytes a second."""
    return number * 1e6 / 8


def link(up: float | None = None, down: float | None = None) -> Link:
    """A line with so many Mbit/s; None is no limit."""
    return Link(*(Lane(None if one is None else megabits(one)) for one in (up, down)))
