"""Retrying after errors that may pass."""

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
"""Errors that may pass: the chain or the store may come back."""

MAX_PAUSE_SECONDS = 30.0
MAX_COUNTED_SECONDS = 60.0
"""The most seconds that a failed attempt counts for: an attempt that took longer trained before it failed."""

T = TypeVar("T")


def patiently(
    act: Callable[[], T],
    notice: Callable[[Exception], None],
    patience: float,
    pause: float = 1.0,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Call `act` until it succeeds.

    Args:
        act: May fail with one of `PASSING`; other errors are raised at once.
        notice: Called with every error that is waited out.
        patience: Seconds of unbroken failure after which the error is raised.
        pause: Seconds between attempts; doubled after each, up to 30.
        sleep: Waits; replaced in tests.
    """
    waited = 0.0
    while True:
        began = time.monotonic()
        try:
            return act()
        except PASSING as error:
            waited += min(time.monotonic() - began, MAX_COUNTED_SECONDS)
            if waited >= patience:
                raise
            notice(error)
        sleep(min(pause, patience - waited))
        pause, waited = min(pause * 2, MAX_PAUSE_SECONDS), waited + pause
