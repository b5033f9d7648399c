"""The page's own files: what a browser loads, from a server or out of a bundle."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from chain.files import read_file

PAGE = Path(__file__).parent / "page"
KINDS = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
FILE_BYTES = 1 << 20


@cache
def page_names() -> tuple[str, ...]:
    """The names of the page's files, such as `view/now.js`, in ascending order; looked up once."""
    found = (file for file in PAGE.rglob("*") if file.suffix in KINDS)
    return tuple(sorted(file.relative_to(PAGE).as_posix() for file in found))


def page_file(name: str) -> bytes:
    """The content of a file of the page; `name` is one of `page_names`."""
    return read_file(PAGE / name, FILE_BYTES)
