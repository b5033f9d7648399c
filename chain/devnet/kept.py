"""Serves an existing chain without writing to its file, so that evidence stays unchanged.

SQLite can open a file read-only. But the write-ahead log of a killed devnet holds whole blocks, and SQLite has to write
next to it to read it. So the devnet runs on a private copy, which is deleted afterwards. This also works on a read-only
disk, and needs no second way to open a chain.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from chain.devnet.database import SCHEMA
from chain.devnet.endpoint import devnet_in_thread
from chain.errors import DevnetUnusable, FileUnusable, LedgerError
from chain.files import regular_file

MAX_DATABASE_BYTES = 1 << 32
_CHUNK = 1 << 20
_SHARED_BYTES = (0x40000000 + 2, 510)
"""Where SQLite locks a file: https://www.sqlite.org/fileformat.html#the_lock_byte_page"""


@contextmanager
def kept_chain(database: Path) -> Iterator[str]:
    """Serve a copy of a devnet's chain on loopback; yields its URL. The file itself is only read.

    Raises:
        DevnetUnusable: It is not a devnet's file, holds no chain, is larger than `MAX_DATABASE_BYTES`, or is in use.
    """
    with TemporaryDirectory(prefix="ganchor-") as folder:
        copy = Path(folder) / "chain.sqlite"
        try:
            _copy(database, copy)
            _copy_if_there(_log_of(database), _log_of(copy))
        except FileUnusable as error:
            raise DevnetUnusable(f"database {error}") from None
        except OSError as error:
            raise DevnetUnusable(
                f"database {error.filename or database}: {error.strerror}"
            ) from None
        _verify(copy, database)
        with ExitStack() as running:
            try:
                url = running.enter_context(devnet_in_thread(copy))
            except LedgerError as error:
                raise DevnetUnusable(str(error).replace(str(copy), str(database))) from None
            except (
                Exception
            ) as error:  # py-evm raises any of a dozen exceptions on a damaged chain.
                raise _no_chain(database, repr(error)[:200]) from error
            yield url


def _log_of(database: Path) -> Path:
    return database.with_name(f"{database.name}-wal")


def _copy_if_there(source: Path, target: Path) -> None:
    if os.path.lexists(source):
        _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    """Copy a file of bounded length, and keep its holes."""
    with regular_file(source) as descriptor, target.open("wb") as out:
        _verify_unused(source, descriptor)
        size = os.fstat(descriptor).st_size
        if size > MAX_DATABASE_BYTES:
            raise FileUnusable(
                f"{source}: has {size} bytes, at most {MAX_DATABASE_BYTES} are allowed"
            )
        for start in range(0, size, _CHUNK):
            chunk = os.pread(descriptor, min(_CHUNK, size - start), start)
            if chunk.strip(b"\0"):
                out.seek(start)
                out.write(chunk)
        out.truncate(size)


def _verify_unused(source: Path, descriptor: int) -> None:
    start, length = _SHARED_BYTES
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB, length, start)
    except BlockingIOError:
        raise FileUnusable(f"{source}: in use by another devnet") from None


def _verify(copy: Path, database: Path) -> None:
    """Check that the file holds a chain, as py-evm would start one in an empty file; and that it holds nothing that a
    devnet does not create, such as a view that computes without end."""
    try:
        connection = sqlite3.connect(copy)
        try:
            if _schema(connection) != _expected_schema():
                raise _no_chain(database, "other tables")
            if not connection.execute("SELECT 1 FROM pairs LIMIT 1").fetchone():
                raise _no_chain(database, "it is empty")
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise DevnetUnusable(f"database {database}: {error}") from None


def _expected_schema() -> list[tuple[Any, ...]]:
    fresh = sqlite3.connect(":memory:")
    try:
        fresh.executescript(SCHEMA)
        return _schema(fresh)
    finally:
        fresh.close()


def _schema(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    query = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name"
    return connection.execute(query).fetchall()


def _no_chain(database: Path, reason: str) -> DevnetUnusable:
    return DevnetUnusable(f"database {database} holds no devnet chain: {reason}")
