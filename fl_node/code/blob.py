"""Code blobs (docs/protocol.md, "Code"): one Python file as text, or a zip archive: a wheel or a packed folder.

Archives are read strictly. One entry for each file, no comment, no encryption, no link, no name that leads out of the
folder, no more files and bytes than the bounds: whoever opens a task may be anybody.
"""

from __future__ import annotations

import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import PurePosixPath
from typing import Final, Literal

from chain.text import shown
from fl_node.blobs.digest import Blob, digest_of
from fl_node.errors import BlobMalformed

MAX_CODE_BYTES: Final = 1 << 24
"""The longest code blob, 16 MiB."""
MAX_UNPACKED_BYTES: Final = 1 << 26
"""The most bytes of an archive's files together, 64 MiB."""
MAX_FILES: Final = 2000
MAX_NAME, MAX_DEPTH = 200, 16

MODULE: Final = "module.py"
"""The name under which the only file of a single-file blob is listed."""

_ZIP = b"PK\x03\x04"
_END, _END_BYTES = b"PK\x05\x06", 22
_DIRECTORY_BYTES = MAX_FILES * (46 + MAX_NAME + 100)
"""The longest central directory: 46 bytes for each file, its name, and what archivers add."""
_ENCRYPTED = 1
_WHEEL = re.compile(r"[^/]+\.dist-info/WHEEL")
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    ValueError,
    NotImplementedError,
    OSError,
    RuntimeError,
    LookupError,
    struct.error,
)


@dataclass(frozen=True, slots=True)
class Code:
    """A code blob that was read.

    Attributes:
        digest: Its name in the store, 32 bytes.
        kind: Whether it is one Python file, a packed folder, or a wheel.
        files: The names of its files, sorted, and their sizes in bytes.
        tags: A wheel's platforms as its WHEEL file states them, such as `py3-none-any`; empty for the others.
        blob: The bytes themselves.
    """

    digest: bytes
    kind: Literal["file", "folder", "wheel"]
    files: Mapping[str, int]
    tags: tuple[str, ...]
    blob: bytes = field(repr=False)

    def read(self, name: str) -> bytes:
        """The bytes of one of its files.

        Raises:
            KeyError: It has no such file.
            BlobMalformed: The archive is damaged there.
        """
        size = self.files[name]
        if self.kind == "file":
            return self.blob
        with _refusals(), zipfile.ZipFile(BytesIO(self.blob)) as archive:
            return _content(archive, name, size)

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """The names and bytes of all its files.

        Raises:
            BlobMalformed: The archive is damaged.
        """
        if self.kind == "file":
            yield MODULE, self.blob
            return
        with _refusals(), zipfile.ZipFile(BytesIO(self.blob)) as archive:
            for name, size in self.files.items():
                yield name, _content(archive, name, size)

    def text(self, name: str) -> str:
        """One of its files as text; bytes that are not UTF-8 become U+FFFD. Errors as for `read`."""
        return self.read(name).decode(errors="replace")


def read_code(blob: Blob) -> Code:
    """Read a code blob without running or unpacking it.

    Raises:
        BlobMalformed: Neither Python text nor an archive as docs/protocol.md allows it, or over the bounds.
    """
    if len(blob) > MAX_CODE_BYTES:
        raise BlobMalformed(f"the code has {len(blob)} bytes, at most {MAX_CODE_BYTES} are allowed")
    content = bytes(blob)
    if content[:4] == _ZIP:
        return _read_archive(content)
    if content[:4] == _END:
        raise BlobMalformed("the archive has no files")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise BlobMalformed("the code is neither a zip archive nor UTF-8 text") from None
    if not text.strip() or "\0" in text:
        raise BlobMalformed("the code is empty" if not text.strip() else "the code has null bytes")
    return Code(digest_of(content), "file", {MODULE: len(content)}, (), content)


def _read_archive(content: bytes) -> Code:
    _verify_end(content)
    with _refusals(), zipfile.ZipFile(BytesIO(content)) as archive:
        files = _files(archive.infolist())
        wheels = [name for name in files if _WHEEL.fullmatch(name)]
        if len(wheels) > 1:
            raise BlobMalformed(f"the archive has {len(wheels)} WHEEL files")
        tags = _tags(_content(archive, wheels[0], files[wheels[0]])) if wheels else ()
    return Code(digest_of(content), "wheel" if wheels else "folder", files, tags, content)


def _verify_end(content: bytes) -> None:
    """Hold the archive's directory to its bound before it is parsed, and let nothing lie around it."""
    end = content[-_END_BYTES:]
    if end[:4] != _END or end[-2:] != b"\0\0":
        raise BlobMalformed("the archive is damaged, or has a comment")
    size, start = (int.from_bytes(end[at : at + 4], "little") for at in (12, 16))
    if size > _DIRECTORY_BYTES:
        raise BlobMalformed(f"the archive has more than {MAX_FILES} files")
    if start + size + _END_BYTES != len(content):
        raise BlobMalformed("the archive is damaged, or something lies before it")


def _files(entries: list[zipfile.ZipInfo]) -> dict[str, int]:
    for entry in entries:
        _verify_entry(entry)
    files = {entry.filename: entry.file_size for entry in entries if not entry.is_dir()}
    if not files:
        raise BlobMalformed("the archive has no files")
    if len(entries) > MAX_FILES:
        raise BlobMalformed(
            f"the archive has {len(entries)} entries, at most {MAX_FILES} are allowed"
        )
    if (total := sum(files.values())) > MAX_UNPACKED_BYTES:
        raise BlobMalformed(
            f"the archive's files have {total} bytes, at most {MAX_UNPACKED_BYTES} are allowed"
        )
    _verify_distinct([entry.filename for entry in entries])
    return dict(sorted(files.items()))


def _verify_entry(entry: zipfile.ZipInfo) -> None:
    name, mode = entry.filename, entry.external_attr >> 16
    if not _is_name(name.removesuffix("/")) or entry.orig_filename != name:
        raise BlobMalformed(f"the archive has a file with the name {name[:100]!r}")
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise BlobMalformed(f"{name!r} in the archive is a link or a device")
    if entry.flag_bits & _ENCRYPTED:
        raise BlobMalformed(f"{name!r} in the archive is encrypted")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise BlobMalformed(f"{name!r} in the archive is neither stored nor deflated")
    if entry.is_dir() and entry.file_size:
        raise BlobMalformed(f"{name!r} in the archive is a folder with content")


def _is_name(name: str) -> bool:
    """Whether a name is relative and stays inside the folder, on every system."""
    parts = name.split("/")
    return (
        len(name) <= MAX_NAME
        and len(parts) <= MAX_DEPTH
        and name.isprintable()
        and not set(name) & set('\\:*?"<>|')
        and all(part not in ("", ".", "..") and part == part.strip() for part in parts)
    )


def _verify_distinct(names: list[str]) -> None:
    """No two files may meet in one place, on a disk that knows no upper case either; nor a file and a folder."""
    whole = [name.removesuffix("/").casefold() for name in names]
    folders = {str(parent) for name in whole for parent in PurePosixPath(name).parents}
    files = {name.casefold() for name in names if not name.endswith("/")}
    if len(set(whole)) < len(whole) or files & folders:
        raise BlobMalformed("two files of the archive have the same name")


def _content(archive: zipfile.ZipFile, name: str, size: int) -> bytes:
    with archive.open(name) as file:
        content = file.read(size + 1)
    if len(content) != size:
        raise BlobMalformed(f"{name!r} in the archive has another size than stated")
    return content


def _tags(content: bytes) -> tuple[str, ...]:
    """The tags of a WHEEL file (PyPA, "Binary distribution format")."""
    lines = content.decode(errors="replace").splitlines()
    tags = tuple(line[4:].strip() for line in lines if line[:4].lower() == "tag:")
    if (
        not tags
        or len(tags) > 100
        or not all(re.fullmatch(r"[\w.]+-[\w.]+-[\w.]+", tag, re.ASCII) for tag in tags)
    ):
        raise BlobMalformed("the wheel does not state for which platforms it was built")
    return tags


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise BlobMalformed(f"the archive is damaged: {shown(error, 200)}") from None
