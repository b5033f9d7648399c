"""How fast a chain makes blocks, as seen from outside."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chain.answers import Block
from chain.pace import MAX_SECONDS, SEEN, Pace


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the monotonic clock."""
    return lambda seconds: monkeypatch.setattr("chain.pace.time.monotonic", lambda: seconds)


def block(number: int | None, timestamp: int) -> Block:
    return Block(number, timestamp, 30_000_000, 7)


def test_is_unknown_at_first(clock: Callable[[float], None]) -> None:
    clock(100.0)
    pace = Pace()
    assert (pace.head, pace.seconds, pace.until_next) == (None, 0, 0)
    pace.saw(block(5, 1000))
    assert (pace.head, pace.seconds, pace.until_next) == (5, 0, 0)


def test_is_the_time_from_block_to_block(clock: Callable[[float], None]) -> None:
    pace = Pace()
    clock(100.0)
    pace.saw(block(5, 1000))
    clock(124.0)
    pace.saw(block(7, 1024))
    assert (pace.seconds, pace.until_next) == (12, 12)
    clock(130.0)
    assert (pace.until_next, pace.since_last) == (6, 6)
    clock(140.0)
    assert pace.until_next == 0


def test_is_the_shortest_of_late() -> None:
    """Where blocks come with transactions, a long pause between two says nothing."""
    pace = Pace()
    for number, timestamp in enumerate([1000, 1001, 1100, 1200]):
        pace.saw(block(number, timestamp))
    assert pace.seconds == 1
    for number in range(4, 4 + SEEN):
        pace.saw(block(number, 1200 + 6 * (number - 3)))
    assert pace.seconds == 6


def test_is_never_longer_than_one_waits() -> None:
    pace = Pace()
    pace.saw(block(0, 0))
    pace.saw(block(1, 86_400))
    assert pace.seconds == MAX_SECONDS


def test_takes_no_notice_of_a_node_that_lags_or_of_a_block_without_number() -> None:
    pace = Pace()
    for one in (block(5, 1000), block(4, 990), block(None, 5000), block(5, 1000)):
        pace.saw(one)
    assert (pace.head, pace.seconds) == (5, 0)
