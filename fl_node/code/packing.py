"""Packs code into a blob, the same bytes on every machine, so that who has the source can compare the digest.

A folder becomes an archive of stored, not compressed, files: two versions of zlib need not give the same bytes.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Final

from chain.errors import FileUnusable
from chain.files import read_file
from chain.text import shown
from fl_node.code.blob import MAX_CODE_BYTES, MAX_FILES, read_code
from fl_node.errors import BlobMalformed, Misuse

PACKED: Final = (".py", ".toml", ".md", ".txt", ".json", ".typed")
"""The endings of a folder's files that are packed."""

_DATE = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644  # a regular file that its owner may write


def pack(path: Path) -> bytes:
    """Pack a Python file, a wheel, or a folder.

    Of a folder it packs the files with the endings `PACKED`, at any depth. It leaves out hidden files and folders, and
    `__pycache__`.

    Raises:
        Misuse: There is no such path, it holds no Python, it is too large, or a link leads out of it.
    """
    with _refusals(path):
        if path.is_dir():
            return _checked(path, _packed(path, Path()))
        if path.suffix not in (".py", ".whl"):
            raise Misuse(f"{path}: expected a .py file, a wheel, or a folder with Python files")
        return _checked(path, read_file(path, MAX_CODE_BYTES))


def pack_installed(module: str) -> bytes:
    """Pack the top-level package or module of an importable module, without importing it.

    Args:
        module: Its name, dotted or not: for `quickstart.client_app` the package `quickstart` is packed.

    Raises:
        Misuse: There is no such module, it is not made of Python files, or as for `pack`.
    """
    top = module.partition(".")[0]
    with _refusals(top):
        spec = find_spec(top) if top.isidentifier() else None
        folders = list((spec and spec.submodule_search_locations) or [])
        if len(folders) == 1:
            folder = Path(folders[0])
            return _checked(folder, _packed(folder, Path(top)))
        if spec and spec.origin and spec.origin.endswith(".py"):
            return _checked(Path(spec.origin), read_file(Path(spec.origin), MAX_CODE_BYTES))
    raise Misuse(f"{top[:100]!r} is not a module or package in Python that can be imported here")


def _packed(folder: Path, inside: Path) -> bytes:
    """The archive of a folder's files; `inside` is the folder in the archive under which they lie."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in sorted(_names(folder)):
            entry = zipfile.ZipInfo((inside / name).as_posix(), _DATE)
            entry.create_system, entry.external_attr = 3, _MODE << 16  # as Unix writes it
            archive.writestr(entry, read_file(folder / name, MAX_CODE_BYTES))
            if packed.tell() > MAX_CODE_BYTES:
                raise Misuse(f"{folder}: more than {MAX_CODE_BYTES} bytes of code")
    return packed.getvalue()


def _names(folder: Path) -> list[str]:
    names = []
    for path in _walk(folder):
        names.append(path.relative_to(folder).as_posix())
        if len(names) > MAX_FILES:
            raise Misuse(f"{folder}: more than {MAX_FILES} files; is there an environment in it?")
    if not any(name.endswith(".py") for name in names):
        raise Misuse(f"{folder}: no Python files in this folder")
    return names


def _walk(folder: Path) -> Iterator[Path]:
    folders = [folder]
    while folders:
        for path in folders.pop().iterdir():
            wanted = path.suffix in PACKED
            if path.name.startswith(".") or path.name == "__pycache__":
                continue
            if path.is_symlink() and (wanted or path.is_dir()):
                raise Misuse(f"{path} is a link, perhaps to something private: copy it instead")
            if path.is_dir():
                folders.append(path)
            elif wanted:
                yield path


def _checked(path: Path, blob: bytes) -> bytes:
    """What members would refuse is refused here."""
    try:
        read_code(blob)
    except BlobMalformed as error:
        raise Misuse(f"{path}: {error}") from None
    return blob


@contextmanager
def _refusals(what: object) -> Iterator[None]:
    try:
        yield
    except FileUnusable as error:
        raise Misuse(str(error)) from None
    except (OSError, ValueError) as error:
        raise Misuse(f"{what}: cannot be packed: {shown(error)}") from None
