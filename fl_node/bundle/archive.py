"""The zip file of a bundle. Written, equal contents give equal bytes; read, nothing in it is believed.

Every file is stored as it is. So nothing unpacks to more than the bundle's own bytes, and a file in it is a view of the
bundle. Source: APPNOTE.TXT, the specification of .ZIP files, of PKWARE.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from chain.files import map_file, whole_file
from chain.text import shown
from fl_node.errors import BundleInvalid

MAX_BUNDLE_BYTES = 1 << 40
"""The longest bundle that is opened. It is mapped into memory, not read."""

MAX_DIRECTORY_BYTES = 1 << 25
"""The longest list of a bundle's files: some 280,000 blobs. The list is all that is read of a bundle at once."""

MAX_PAGE_BYTES = 1 << 22
"""What the files of the page may have together. Nothing here reads them."""

NAMES = re.compile(
    r"(bundle|state|events|blobs|proof)\.json|code\.hex|cosignatures\.txt|blobs/[0-9a-f]{64}"
    r"|page/([a-z0-9_]{1,40}/){0,2}[a-z0-9_]{1,40}\.(css|html|js|svg)"
)
"""The names that a file of a bundle may have."""

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first time that a zip can state. All files have it, so that the time of writing does not matter."""

END_BYTES = 22
END_64_BYTES = 56 + 20
LOCAL, LOCAL_BYTES = b"PK\x03\x04", 30
LISTED_BYTES = 46


class ArchiveWriter:
    """A zip that is being written; `written_archive` opens one."""

    def __init__(self, archive: ZipFile) -> None:
        self._archive = archive

    def add(self, name: str, content: bytes | memoryview) -> None:
        """Add a file. The caller adds files in ascending order of their names."""
        entry = ZipInfo(name, EPOCH)
        entry.create_system = 3  # Unix, on any system.
        entry.external_attr = 0o100644 << 16
        self._archive.writestr(entry, content)


@contextmanager
def written_archive(path: Path) -> Iterator[ArchiveWriter]:
    """A zip to add files to, which is there whole when the `with` block has ended, or not at all.

    Raises:
        FileUnusable: It cannot be written.
    """
    with whole_file(path) as file, ZipFile(file, "w", ZIP_STORED) as archive:
        yield ArchiveWriter(archive)


def read_archive(path: Path) -> dict[str, memoryview]:
    """The files of a bundle, by name: read-only views of the bundle, whose bytes the system loads on access.

    Args:
        path: Anything that somebody else wrote.

    Raises:
        FileUnusable: It is not a regular file, or cannot be read.
        BundleInvalid: It is no zip of this form: it has a comment, too many files, bytes that belong to no file, a file
            that is compressed or encrypted, two of the same name, one whose name no file of a bundle has, or too
            large a page.
    """
    whole = map_file(path, MAX_BUNDLE_BYTES)
    try:
        list_of_files = _verify_directory(whole)
        mapped: Any = whole.obj  # It reads like a file.
        with ZipFile(mapped) as archive:
            entries = archive.infolist()
        files: dict[str, memoryview] = {}
        end = 0
        for entry in entries:
            _verify_entry(entry, files)
            files[entry.filename], end = _content_of(whole, entry, end)
        if end != list_of_files:
            raise ValueError("the list of files does not follow the last file")
        if (size := _page_bytes(files)) > MAX_PAGE_BYTES:
            raise ValueError(f"a page of {size} bytes, at most {MAX_PAGE_BYTES}")
    except (BadZipFile, NotImplementedError, ValueError, struct.error, OverflowError) as error:
        raise BundleInvalid(f"{path}: not a bundle: {shown(error)}") from None
    return files


def _verify_directory(whole: memoryview) -> int:
    """Check where the zip begins and ends, and the size of the list of files, before the list is read.

    Returns:
        Where the list begins.
    """
    end = whole[-END_BYTES:]
    if len(end) < END_BYTES or bytes(end[:4]) != b"PK\x05\x06" or bytes(end[-2:]) != bytes(2):
        raise ValueError("it does not end like a zip without a comment")
    if bytes(whole[:4]) != LOCAL:
        raise ValueError("it does not begin with a file")
    size, start = struct.unpack("<LL", end[12:20])
    after = len(whole) - END_BYTES
    before = whole[-END_BYTES - END_64_BYTES : -END_BYTES]
    if len(before) == END_64_BYTES and bytes(before[:4]) == b"PK\x06\x06":
        size, start = struct.unpack("<QQ", before[40:56])
        after -= END_64_BYTES
    if size > MAX_DIRECTORY_BYTES:
        raise ValueError(f"a list of files of {size} bytes, at most {MAX_DIRECTORY_BYTES}")
    if start + size != after:
        raise ValueError("its end does not follow the list of files")
    _verify_lengths(whole[start:after])
    return int(start)


def _verify_lengths(listed: memoryview) -> None:
    """Check that the list ends with its last entry: the library takes an entry that is cut off for a shorter one."""
    at = 0
    while at < len(listed):
        at += LISTED_BYTES + sum(struct.unpack_from("<HHH", listed, at + 28))
    if at != len(listed):
        raise ValueError("its list of files is cut off")


def _verify_entry(entry: ZipInfo, files: dict[str, memoryview]) -> None:
    name = shown(repr(entry.orig_filename), 100)
    if not NAMES.fullmatch(
        entry.orig_filename
    ):  # The other name ends where this one has a zero byte.
        raise ValueError(f"no file of a bundle has the name {name}")
    if entry.filename in files:
        raise ValueError(f"two files have the name {name}")
    if entry.compress_type != ZIP_STORED or entry.compress_size != entry.file_size:
        raise ValueError(f"{name} is compressed")
    if entry.flag_bits:
        raise ValueError(f"{name} is encrypted, or not written in one go")


def _content_of(whole: memoryview, entry: ZipInfo, before: int) -> tuple[memoryview, int]:
    """A file's content: what follows its own header, which repeats its name.

    Args:
        before: Where the file before it ends, and this one has to begin.

    Returns:
        The content, and where it ends.
    """
    start = entry.header_offset
    header = whole[start : start + LOCAL_BYTES] if start >= 0 else b""
    if len(header) < LOCAL_BYTES or bytes(header[:4]) != LOCAL:
        raise ValueError(f"{entry.filename!r} is not where the list says")
    name, extra = struct.unpack("<HH", header[26:])
    begin = start + LOCAL_BYTES
    if bytes(whole[begin : begin + name]) != entry.filename.encode():
        raise ValueError(f"{entry.filename!r} has another name where it is")
    content = whole[begin + name + extra :][: entry.file_size]
    if len(content) != entry.file_size:
        raise ValueError(f"{entry.filename!r} is cut off")
    if start != before:
        raise ValueError(f"{entry.filename!r} does not follow the file before it")
    return content, begin + name + extra + len(content)


def _page_bytes(files: dict[str, memoryview]) -> int:
    return sum(len(content) for name, content in files.items() if name.startswith("page/"))
