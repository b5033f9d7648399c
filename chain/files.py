"""Reads files that somebody else may have planted: regular files only, and no more bytes than expected.

Opening a named pipe waits for a writer, reading a device never ends, and a sparse file claims terabytes that no disk
holds. So the project opens every file that it reads here. It writes files here too, whole or not at all.
"""

from __future__ import annotations

import json
import mmap
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from chain.errors import FileUnusable

MAX_JSON_BRACKETS = 100


@contextmanager
def regular_file(path: Path) -> Iterator[int]:
    """Open a regular file, or a symbolic link to one, for reading; yields the descriptor.

    Raises:
        FileUnusable: It is not a regular file.
        OSError: The system cannot open it; for example FileNotFoundError.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # O_NONBLOCK: a pipe does not block.
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileUnusable(f"{path}: not a regular file")
        yield descriptor
    finally:
        os.close(descriptor)


def mapped(descriptor: int) -> memoryview:
    """A whole regular file as read-only memory; the system loads its pages on access."""
    size = os.fstat(descriptor).st_size
    if not size:  # An empty file cannot be mapped.
        return memoryview(b"")
    return memoryview(mmap.mmap(descriptor, size, access=mmap.ACCESS_READ))


def read_file(path: Path, max_bytes: int) -> bytes:
    """Read a whole file.

    Args:
        path: A regular file, or a symbolic link to one.
        max_bytes: The longest file that is read.

    Raises:
        FileUnusable: It does not exist, is not a regular file, is longer, or cannot be read.
    """
    with _refusals(path), regular_file(path) as descriptor:
        _verify_size(path, os.fstat(descriptor).st_size, max_bytes)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(max_bytes + 1)
        _verify_size(path, len(content), max_bytes)  # It may have grown meanwhile.
        return content


def read_text(path: Path, max_bytes: int) -> str:
    """Read a whole file of UTF-8 text, as `read_file` does.

    Raises:
        FileUnusable: As for `read_file`, or it is not UTF-8.
    """
    try:
        return read_file(path, max_bytes).decode()
    except UnicodeDecodeError:
        raise FileUnusable(f"{path}: not UTF-8 text") from None


def read_json(path: Path, max_bytes: int) -> Any:
    """Read a small file of JSON, as `read_file` does.

    Raises:
        FileUnusable: As for `read_file`.
        ValueError: Not JSON, or more than `MAX_JSON_BRACKETS` opening brackets: deep nesting overruns the parser's
            stack, which crashes the process if a library has raised the recursion limit.
    """
    content = read_file(path, max_bytes)
    if content.count(b"[") + content.count(b"{") > MAX_JSON_BRACKETS:
        raise ValueError(f"more than {MAX_JSON_BRACKETS} brackets")
    return json.loads(content)


def verify_size(path: Path, max_bytes: int) -> None:
    """Check that a file is regular and no longer than expected, before something else opens it; it may be missing.

    Raises:
        FileUnusable: It is not a regular file, is longer, or cannot be read.
    """
    try:
        with regular_file(path) as descriptor:
            _verify_size(path, os.fstat(descriptor).st_size, max_bytes)
    except FileNotFoundError:
        return
    except OSError as error:
        raise FileUnusable(f"{path}: {error.strerror}") from None


def map_file(path: Path, max_bytes: int) -> memoryview:
    """A whole file as read-only memory; arguments and errors as for `read_file`."""
    with _refusals(path), regular_file(path) as descriptor:
        _verify_size(path, os.fstat(descriptor).st_size, max_bytes)
        return mapped(descriptor)


def write_whole(path: Path, *pieces: bytes | memoryview, mode: int = 0o666) -> None:
    """Write a file whole or not at all: write it under another name, sync it to disk, then rename it.

    Args:
        path: The file, in an existing folder. An existing file is replaced.
        pieces: Its content, in order.
        mode: Its permissions, before the process's umask.

    Raises:
        FileUnusable: It cannot be written; an existing file is unchanged.
    """
    with whole_file(path, mode) as file:
        file.writelines(pieces)


@contextmanager
def whole_file(path: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A file to write into, which is there whole when the `with` block has ended, or not at all.

    Args:
        path: The file, in an existing folder. An existing file is replaced.
        mode: Its permissions, before the process's umask.

    Raises:
        FileUnusable: It cannot be written; an existing file is unchanged.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise FileUnusable(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)


def write_new(path: Path, content: bytes) -> None:
    """Write a new file whole or not at all, readable by its owner only; for keys, which must never be replaced.

    Raises:
        FileExistsError: There is a file already.
        OSError: The system cannot write it.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    finally:
        draft.unlink()


def _verify_size(path: Path, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise FileUnusable(f"{path}: has {size} bytes, at most {max_bytes} are allowed")


@contextmanager
def _refusals(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FileUnusable(f"{path}: {error.strerror}") from None
    except ValueError as error:  # The path holds a null byte.
        raise FileUnusable(f"{path!s}: {error}") from None
