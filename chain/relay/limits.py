"""How much a relay gives: requests in a second, and gas for an act, a task and a day."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from chain.errors import FileUnusable
from chain.files import read_json, write_whole

MAX_BOOK_BYTES = 1 << 16
DAY_SECONDS = 24 * 3600


@dataclass(slots=True)
class Bucket:
    """A token bucket: `size` requests at once, then `rate` a second."""

    size: float
    rate: float
    _level: float = field(default=-1.0, init=False)
    _seen: float = field(default=0.0, init=False)

    def take(self, now: float) -> bool:
        """Whether one more request is let in.

        Args:
            now: Seconds of a clock that does not run backwards.
        """
        level = self.size if self._level < 0 else self._level + (now - self._seen) * self.rate
        self._seen, self._level = now, min(level, self.size)
        if self._level < 1:
            return False
        self._level -= 1
        return True


@dataclass(frozen=True, slots=True)
class Caps:
    """The most gas that a relay pays for a task in all, and in a day. For an act it is `chain.acts.ACT_GAS`."""

    task: int = 1_000_000_000
    day: int = 200_000_000


class Purse:
    """The gas spent so far, kept in a file, so that a restart forgives nothing.

    Args:
        caps: What may be spent.
        book: The file; created with the first spending. None keeps the sums in memory.

    Raises:
        FileUnusable: The file cannot be read, or is no such book.
    """

    def __init__(self, caps: Caps, book: Path | None = None) -> None:
        self.caps = caps
        self._book = book
        self._day = 0
        self._spent_today = 0
        self._spent_by_task: Counter[int] = Counter()
        if book is not None and book.exists():
            self._read(book)

    def objection(self, task: int, gas: int, now: int) -> str:
        """Why so much gas is not spent; empty if it may be.

        Args:
            task: The task's number.
            gas: What a transaction may take.
            now: The chain's time, in seconds since 1970; a day begins at midnight UTC.
        """
        self._turn_to(now)
        for what, spent, most in (
            (f"task {task}", self._spent_by_task[task], self.caps.task),
            ("a day", self._spent_today, self.caps.day),
        ):
            if spent + gas > most:
                return f"the relay pays at most {most} gas for {what}, and has paid {spent}"
        return ""

    def spend(self, task: int, gas: int, now: int) -> None:
        """Write down what was spent. A negative amount gives back what was set aside and not taken.

        Raises:
            FileUnusable: The book cannot be written.
        """
        self._turn_to(now)
        self._spent_today += gas
        self._spent_by_task[task] += gas
        if self._book is not None:
            kept = {
                "day": self._day,
                "spent_today": self._spent_today,
                "spent_on": {str(number): spent for number, spent in self._spent_by_task.items()},
            }
            write_whole(self._book, json.dumps(kept).encode())

    @property
    def spent_today(self) -> int:
        """Gas spent since midnight UTC, by the chain's time of the last act."""
        return self._spent_today

    def spent_on(self, task: int) -> int:
        """Gas spent on a task so far."""
        return self._spent_by_task[task]

    def _turn_to(self, now: int) -> None:
        if now // DAY_SECONDS > self._day:
            self._day, self._spent_today = now // DAY_SECONDS, 0

    def _read(self, book: Path) -> None:
        try:
            kept = read_json(book, MAX_BOOK_BYTES)
            self._day, self._spent_today = int(kept["day"]), int(kept["spent_today"])
            self._spent_by_task.update(
                {int(task): int(gas) for task, gas in kept["spent_on"].items()}
            )
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
            raise FileUnusable(
                f"{book}: not the book of a relay; move it away to begin a new one"
            ) from None
