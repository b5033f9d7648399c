"""A folder as a place for blobs: a disk of this machine, or one that several machines mount."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore

from chain.errors import FileUnusable
from chain.files import mapped, regular_file
from fl_node.blobs.digest import Blob
from fl_node.blobs.location import reason_of
from fl_node.blobs.reader import verify_size
from fl_node.errors import BadData, BlobMissing, BlobTampered, StoreUnusable

_UNREADABLE = {errno.EACCES, errno.ELOOP, errno.ENOTDIR}
"""Errors that a member can cause for its own blob in a shared folder; the folder itself is still in order."""


class Folder:
    """Files by key under a folder; each is written whole or not at all."""

    def __init__(self, folder: Path, must_exist: bool) -> None:
        if must_exist and not folder.is_dir():
            raise StoreUnusable(f"store {folder}: no such folder")
        self._folder = folder
        self._files = LocalStore(prefix=folder, mkdir=not must_exist)

    def __str__(self) -> str:
        return str(self._folder)

    def size_of(self, key: str, ends: float = 0) -> int | None:
        """Size in bytes of the file with this key; None if there is no file.

        Args:
            key: The file's path in the folder.
            ends: Not used: a folder is not waited for.

        Raises:
            StoreUnusable: The folder cannot be read.
        """
        try:
            return len(self.read(key, None))
        except BadData:
            return None

    def read(
        self, key: str, max_bytes: int | None, span: slice = slice(None), ends: float = 0
    ) -> memoryview:
        """Map a file into memory, or a part of it.

        Args:
            key: The file's path in the folder.
            max_bytes: A longer file is refused; None for any length.
            span: Which of its bytes.
            ends: Not used: a folder is not waited for.

        Raises:
            BlobMissing: There is no such file.
            BlobOversized: It is longer than `max_bytes`.
            BlobTampered: It is not a regular file, or may not be read.
            StoreUnusable: The folder cannot be read.
        """
        try:
            with regular_file(self._folder / key) as descriptor:
                verify_size(name_of(key), os.fstat(descriptor).st_size, max_bytes)
                return mapped(descriptor)[span]
        except FileUnusable:
            raise BlobTampered(
                f"blob {name_of(key)} in store {self} is not a regular file"
            ) from None
        except (OSError, ValueError) as error:
            raise self._read_failure(key, error) from None

    def write(
        self,
        key: str,
        blob: Blob,
        ends: float | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Write a file whole or not at all; what lies in its place is replaced.

        Args:
            key: The file's path in the folder.
            blob: Its content.
            ends: Not used: a folder is not waited for.
            progress: Is called once, with the number of bytes.

        Raises:
            StoreUnusable: The folder cannot be written, or the disk is full.
        """
        try:
            self._clear(key)
            obstore.put(self._files, key, memoryview(blob), use_multipart=False)
        except (BaseError, OSError, ValueError) as error:
            raise self._unusable("write", key, error) from None
        if progress:
            progress(len(blob))

    def delete(self, key: str) -> None:
        """Delete a file.

        Raises:
            StoreUnusable: It cannot be deleted.
        """
        try:
            (self._folder / key).unlink()
        except OSError as error:
            raise self._unusable("delete", key, error) from None

    def _clear(self, key: str) -> None:
        """Move a folder that somebody created under a blob's name out of the way; a file is simply replaced."""
        if (path := self._folder / key).is_dir():
            path.rename(path.with_name(f"no-blob-{secrets.token_hex(8)}"))

    def _read_failure(self, key: str, error: Exception) -> BadData | StoreUnusable:
        """Distinguish a fault of one blob, for which its sender is responsible, from a fault of the whole folder."""
        if not os.access(self._folder, os.R_OK | os.X_OK):
            return self._unusable("read", key, error)  # such as a disk that is not mounted
        if isinstance(error, FileNotFoundError):
            return BlobMissing(f"blob {name_of(key)} is not in store {self}")
        if isinstance(error, OSError) and error.errno in _UNREADABLE:
            return BlobTampered(f"blob {name_of(key)} in store {self}: {error.strerror}")
        return self._unusable("read", key, error)

    def _unusable(self, verb: str, key: str, error: Exception) -> StoreUnusable:
        reason = reason_of(error, str(self._folder))
        return StoreUnusable(f"store {self}: cannot {verb} {name_of(key)}: {reason}")


def name_of(key: str) -> str:
    """The last part of a key; of a blob's key, its digest."""
    return key.rpartition("/")[2]
