"""Waiting out the troubles that pass by themselves."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from chain.errors import ChainRefused, ChainUnreachable, HistoryInvalid, TransactionFailed
from fl_node.errors import BadData, StoreUnusable

PASSING = (
    ChainRefused,
    ChainUnreachable,
    TransactionFailed,
    HistoryInvalid,
    StoreUnusable,
    BadData,
)
"""Troubles that may pass by themselves: somebody may be mending chain or store."""

LONGEST_PAUSE = 30.0
MOST_COUNTED = 60.0
"""Seconds that a failed attempt counts for at most: one that took longer has trained before it failed."""

T = TypeVar("T")


def patiently(
    act: Callable[[], T],
    notice: Callable[[Exception], None],
    patience: float,
    pause: float = 1.0,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Do something again until it comes through.

    Args:
        act: What may fail with one of `PASSING`; other errors are raised at once.
        notice: Told about every trouble that is waited out.
        patience: Seconds of trouble after which it is raised.
        pause: Seconds between attempts; doubled after each, up to 30.
        sleep: Waits; replaced in tests.
    """
    waited = 0.0
    while True:
        began = time.monotonic()
        try:
            return act()
        except PASSING as trouble:
            waited += min(time.monotonic() - began, MOST_COUNTED)
            if waited >= patience:
                raise
            notice(trouble)
        sleep(min(pause, patience - waited))
        pause, waited = min(pause * 2, LONGEST_PAUSE), waited + pause
