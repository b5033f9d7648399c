"""The devnet's database: py-evm's key-value pairs and an index of the logs, in one SQLite file.

SQLite syncs its write-ahead log to disk at the end of each transaction, and each block is one transaction. After a
crash the chain ends with a whole block and its logs: the new one or the one before.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eth.db.backends.base import BaseDB

from chain.devnet.limits import Deadline, Limits, TooMuch
from chain.errors import DevnetUnusable

SCHEMA = """
CREATE TABLE IF NOT EXISTS pairs (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS logs (
    block INTEGER NOT NULL, position INTEGER NOT NULL, address TEXT NOT NULL,
    topic0 TEXT, topic1 TEXT, topic2 TEXT, topic3 TEXT, log TEXT NOT NULL,
    PRIMARY KEY (block, position)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS logs_by_topic ON logs (address, topic1, block);
"""

Choice = Sequence[str] | None
"""The values that match in a log filter; None matches any."""

_STEPS_BETWEEN_LOOKS = 10_000


class Database(BaseDB):
    """One devnet's database, locked for this process.

    Attributes:
        path: Its file.

    Raises:
        DevnetUnusable: Another devnet has the file open, it is not a database, or it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._connection = sqlite3.connect(path, timeout=0.2, isolation_level=None)
        except sqlite3.Error as error:
            raise DevnetUnusable(f"database {path}: {error}") from None
        try:
            # An exclusive lock ends with the process, even if the process is killed.
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(SCHEMA)
        except sqlite3.Error as error:
            self._connection.close()
            reason = "in use by another devnet" if "locked" in str(error) else str(error)
            raise DevnetUnusable(f"database {path}: {reason}") from None

    def limit(self, pages: int) -> None:
        """Limit the file to a number of pages, which acts like a full disk. For tests."""
        self._connection.execute(f"PRAGMA max_page_count = {pages}")

    def close(self) -> None:
        """Close the file and release its lock."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all writes of the `with` block together, or undo them all after an exception."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            # If the disk was full, SQLite has already undone it.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def __getitem__(self, key: bytes) -> bytes:
        row = self._connection.execute("SELECT value FROM pairs WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        value: bytes = row[0]
        return value

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._connection.execute("INSERT OR REPLACE INTO pairs VALUES (?, ?)", (key, value))

    def __delitem__(self, key: bytes) -> None:
        if not self._connection.execute("DELETE FROM pairs WHERE key = ?", (key,)).rowcount:
            raise KeyError(key)

    def _exists(self, key: bytes) -> bool:
        row = self._connection.execute("SELECT 1 FROM pairs WHERE key = ?", (key,)).fetchone()
        return row is not None

    def add_logs(self, block: int, logs: Sequence[dict[str, Any]]) -> None:
        """Store a block's logs, each as `eth_getLogs` answers it."""
        rows = []
        for position, log in enumerate(logs):
            topics = (*log["topics"], None, None, None, None)[:4]
            rows.append((block, position, log["address"], *topics, json.dumps(log)))
        self._connection.executemany("INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def find_logs(
        self,
        first: int,
        last: int,
        addresses: Choice,
        topics: Sequence[Choice],
        limits: Limits,
        deadline: Deadline,
    ) -> list[dict[str, Any]]:
        """The logs of blocks `first` to `last`, both included, oldest first.

        The range needs no limit: an index finds the logs, and blocks without logs cost nothing.

        Args:
            addresses: Lower-case hex, like all text here.
            topics: One choice for each of the first topics, at most four; a log with fewer topics does not match.

        Raises:
            TooMuch: There are too many logs, they are too large, or finding them takes too long.
        """
        condition, values = _condition(first, last, addresses, topics)
        query = f"SELECT log FROM logs WHERE {condition} ORDER BY block, position LIMIT ?"
        with self._interrupted_at(deadline):
            rows = self._connection.execute(query, [*values, limits.logs + 1])
            return [json.loads(text) for text in _bounded((row[0] for row in rows), limits)]

    @contextmanager
    def _interrupted_at(self, deadline: Deadline) -> Iterator[None]:
        """Make SQLite check the deadline while it searches."""
        self._connection.set_progress_handler(lambda: deadline.passed, _STEPS_BETWEEN_LOOKS)
        try:
            yield
        except sqlite3.OperationalError:
            deadline.check()
            raise
        finally:
            self._connection.set_progress_handler(None, 0)


def _condition(
    first: int, last: int, addresses: Choice, topics: Sequence[Choice]
) -> tuple[str, list[int | str]]:
    """An SQL condition with `?` for its values, and the values."""
    conditions = ["block BETWEEN ? AND ?"]
    values: list[int | str] = [first, last]
    choices = {"address": addresses} | {f"topic{i}": topics[i] for i in range(len(topics))}
    for column, choice in choices.items():
        if choice is None:
            conditions.append(f"{column} IS NOT NULL")
        else:
            conditions.append(f"{column} IN ({','.join('?' * len(choice))})")
            values.extend(choice)
    return " AND ".join(conditions), values


def _bounded(texts: Iterable[str], limits: Limits) -> Iterator[str]:
    """Yield the texts.

    Raises:
        TooMuch: There are too many, or they are too large together.
    """
    size = 0
    for count, text in enumerate(texts, 1):
        size += len(text)
        if count > limits.logs:
            raise TooMuch(f"query returned more than {limits.logs} results")
        if size > limits.answer_bytes:
            raise TooMuch(f"query returned more than {limits.answer_bytes} bytes")
        yield text
