"""A file that holds a task's log: one row for each entry, with the history head after it.

An event is kept in the bytes that the contract folds into the head, so that head and event verify each other row by
row, and the contract's head verifies them all. The file is a copy of what the chain has: one that is damaged, or
another version's, is thrown away.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chain.decoding import event_from_folded
from chain.errors import FileUnusable, HistoryInvalid, LedgerError
from chain.files import verify_size
from chain.history import folded, head_after
from chain.text import shown
from chain.types import Entry, Event, RoundOpened
from fl_node.errors import StateUnusable

MAX_FILE_BYTES = 1 << 31
"""The longest file that is opened; the longest log that a node may give takes less."""

LOCK_SECONDS = 60.0
"""How long another process may hold the file: it may be reading a long log for the first time."""

LOT = 1000
"""Entries that are written at once: a reader that is killed loses no more."""

TABLE = """CREATE TABLE entries (
    position INTEGER PRIMARY KEY,
    block INTEGER NOT NULL, log_index INTEGER NOT NULL, time INTEGER NOT NULL, hash BLOB,
    event BLOB NOT NULL, head BLOB NOT NULL UNIQUE, opens INTEGER
)"""
BY_BLOCK = "CREATE INDEX entries_by_block ON entries (block)"
BY_OPENING = "CREATE INDEX entries_by_opening ON entries (opens) WHERE opens IS NOT NULL"
SCHEMA = [TABLE, BY_BLOCK, BY_OPENING]
LOCKING = [
    # The lock comes first: in this mode a connection that had read anything would keep a shared lock, and two of them
    # would wait for each other (https://www.sqlite.org/pragma.html#pragma_locking_mode).
    "BEGIN EXCLUSIVE",
    "PRAGMA locking_mode = EXCLUSIVE",
    "COMMIT",
    # What a crash of the machine loses is read again, so nothing waits for the disk.
    "PRAGMA synchronous = OFF",
]
INSERT = "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)"

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Tip:
    """The last row: its position, from 0; its block; and the head after it, 32 bytes."""

    position: int
    block: int
    head: bytes


class Damaged(Exception):
    """The file is not what was written."""


class LogFile:
    """An open file of this kind, which no other process can use meanwhile; `open_log_file` opens one."""

    def __init__(self, connection: sqlite3.Connection, task: int, first_head: bytes) -> None:
        self._connection = connection
        self._task = task
        self._first_head = first_head

    def tip(self) -> Tip | None:
        """The last row; None if there is none."""
        query = "SELECT position, block, head FROM entries ORDER BY position DESC LIMIT 1"
        row = self._connection.execute(query).fetchone()
        return None if row is None else Tip(*row)

    def length(self) -> int:
        """The number of entries."""
        tip = self.tip()
        return 0 if tip is None else tip.position + 1

    def append(self, entries: Iterable[Entry]) -> None:
        """Add entries that follow the last row. If reading them fails, those before stay.

        Raises:
            HistoryInvalid: No log has such entries.
        """
        tip = self.tip()
        position, head = (-1, self._first_head) if tip is None else (tip.position, tip.head)
        for lot in _lots(entries):
            rows = []
            for entry in lot:
                position, event = position + 1, folded(entry.event)
                head = head_after(head, event)
                rows.append((position, *_where(entry), event, head, _opens(entry.event)))
            self._insert(rows)

    def _insert(self, rows: list[Row]) -> None:
        self._connection.execute("BEGIN")
        try:
            self._connection.executemany(INSERT, rows)
            self._connection.execute("COMMIT")
        except (sqlite3.IntegrityError, OverflowError) as error:
            self._connection.execute("ROLLBACK")
            raise HistoryInvalid(f"no log has such entries: {error}") from None

    def drop_from(self, block: int) -> None:
        """Remove the entries of a block and of all later ones."""
        self._connection.execute("DELETE FROM entries WHERE block >= ?", (block,))

    def position_of(self, head: bytes) -> int | None:
        """The position of the entry after which the history had this head; None if there is none."""
        return self._number("SELECT position FROM entries WHERE head = ?", head)

    def head_before(self, position: int) -> bytes:
        """The history head before the entry at a position, 32 bytes.

        Raises:
            Damaged: There is no entry before it.
        """
        if position == 0:
            return self._first_head
        query = "SELECT head FROM entries WHERE position = ?"
        row = self._connection.execute(query, (position - 1,)).fetchone()
        if row is None:
            raise Damaged
        return bytes(row[0])

    def opening_of(self, round: int) -> int | None:
        """The position at which a round was first opened; None if it was not."""
        opened = "SELECT position FROM entries WHERE opens = ?"
        return self._number(f"{opened} ORDER BY position LIMIT 1", round)

    def last_round(self, until: int) -> int:
        """The last round that was opened up to a position; 0 if none was."""
        opened = "SELECT opens FROM entries WHERE opens IS NOT NULL AND position <= ?"
        return self._number(f"{opened} ORDER BY opens DESC LIMIT 1", until) or 0

    def entries(self, first: int, until: int) -> Iterator[Entry]:
        """The entries from one position up to another, both included, each verified against the heads around it.

        Raises:
            Damaged: The rows are not what was written.
        """
        head = self.head_before(first)
        query = "SELECT * FROM entries WHERE position BETWEEN ? AND ? ORDER BY position"
        for row in self._connection.execute(query, (first, until)):
            yield self._entry(row, head)
            head = row[6]

    def _number(self, query: str, parameter: bytes | int) -> int | None:
        row = self._connection.execute(query, (parameter,)).fetchone()
        return None if row is None else int(row[0])

    def _entry(self, row: Row, head: bytes) -> Entry:
        _, block, log_index, time, transaction, event, after, _ = row
        if {type(block), type(log_index), type(time)} != {int} or type(event) is not bytes:
            raise Damaged
        if head_after(head, event) != after:
            raise Damaged
        return Entry(event_from_folded(self._task, event), block, log_index, time, transaction)


def _where(entry: Entry) -> Row:
    return entry.block_number, entry.log_index, entry.timestamp, entry.transaction


def _opens(event: Event) -> int | None:
    """The round that an event opens for the first time."""
    return event.round if isinstance(event, RoundOpened) and event.attempt == 0 else None


def _lots(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """The entries, some at a time; what came before an error is given before the error is raised."""
    lot: list[Entry] = []
    try:
        for entry in entries:
            lot.append(entry)
            if len(lot) == LOT:
                yield lot
                lot = []
    except LedgerError:
        yield lot
        raise
    yield lot


@contextmanager
def open_log_file(path: Path, task: int, first_head: bytes) -> Iterator[LogFile]:
    """Open a file, or begin one; it is thrown away if it turns out to be damaged.

    Args:
        path: The file, in an existing folder.
        task: The task's number.
        first_head: The history head before the task's first event, 32 bytes.

    Raises:
        StateUnusable: It cannot be read or written, or another process holds it.
        HistoryInvalid: It was damaged and is gone; the log can be read again.
    """
    try:
        with closing(_connected(path)) as connection:
            yield LogFile(connection, task, first_head)
    except sqlite3.OperationalError as error:
        raise StateUnusable(f"{path}: {shown(error)}") from None
    except (Damaged, sqlite3.DatabaseError):
        _discard(path)
        raise HistoryInvalid(f"{path} was damaged; the log has to be read again") from None


def _connected(path: Path) -> sqlite3.Connection:
    """The opened file, locked for this process; an empty one in its place if it was of another kind."""
    try:
        verify_size(path, MAX_FILE_BYTES)
    except FileUnusable as error:
        raise StateUnusable(str(error)) from None
    connection = _opened(path)
    schema = _schema(connection)
    if schema not in ([], SCHEMA):
        connection.close()
        _discard(path)
        connection = _opened(path)
        schema = _schema(connection)
    if not schema:
        for statement in SCHEMA:
            connection.execute(statement)
    return connection


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=LOCK_SECONDS, isolation_level=None)


def _schema(connection: sqlite3.Connection) -> list[str]:
    """What the file says that it holds; nothing if it is new. From here on no other process can use the file."""
    try:
        for statement in LOCKING:
            connection.execute(statement)
        query = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid"
        return [sql for (sql,) in connection.execute(query)]
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        return ["no database"]


def _discard(path: Path) -> None:
    for left in (path, path.with_name(f"{path.name}-journal")):
        left.unlink(missing_ok=True)
