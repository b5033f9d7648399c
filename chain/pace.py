"""How fast a chain makes blocks, judged from the blocks that were seen."""

from __future__ import annotations

import time
from collections import deque

from chain.answers import Block

SEEN = 5
"""So many gaps between blocks are remembered."""

MAX_SECONDS = 15.0
"""The longest that somebody waits for a block before looking again, however slow the chain."""


class Pace:
    """Counts on the shortest gap seen lately: where blocks come only with transactions, they come in bursts.

    Attributes:
        head: The number of the newest block seen; None before the first.
    """

    def __init__(self) -> None:
        self.head: int | None = None
        self._timestamp = 0
        self._seen_at = 0.0
        self._gaps: deque[float] = deque(maxlen=SEEN)

    def saw(self, block: Block) -> None:
        """Note the newest block; an older one than before is left out."""
        if block.number is None or (self.head is not None and block.number <= self.head):
            return
        if self.head is not None:
            gap = (block.timestamp - self._timestamp) / (block.number - self.head)
            self._gaps.append(max(gap, 0.0))
        self.head, self._timestamp, self._seen_at = block.number, block.timestamp, time.monotonic()

    @property
    def seconds(self) -> float:
        """The seconds from block to block, 0 to 15; 0 while unknown."""
        return min(*self._gaps, MAX_SECONDS) if self._gaps else 0.0

    @property
    def until_next(self) -> float:
        """The seconds until the next block is due, 0 to 15; 0 while unknown, or if it is late."""
        return max(0.0, self._seen_at + self.seconds - time.monotonic()) if self._gaps else 0.0

    @property
    def since_last(self) -> float:
        """The seconds since the newest block was first seen here."""
        return time.monotonic() - self._seen_at
