"""Which code a member allows: the manifest names code that members are asked to run, and no node runs it unasked.

Example of a file of allowed code, one digest in a line:

    # reviewed by the hospital's IT, 3 March
    12ab34...  # chest.py, as in our repository at v1.2
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from chain.errors import FileUnusable
from chain.files import read_text
from fl_node.errors import CodeRefused, Misuse

MAX_ALLOWED_BYTES = 1 << 20


def parse_digest(text: str) -> bytes:
    """Read a digest of 64 hex digits.

    Raises:
        Misuse: It is none.
    """
    digits = text.strip().removeprefix("0x")
    if not re.fullmatch("[0-9a-fA-F]{64}", digits):
        raise Misuse(f"{text[:100]!r} is not the digest of code: 64 hex digits are")
    return bytes.fromhex(digits)


def read_allowed(path: Path) -> frozenset[bytes]:
    """Read a file of allowed code: a digest in each line, `#` before remarks.

    Raises:
        Misuse: The file cannot be read, is longer than 1 MiB, or a line is something else.
    """
    try:
        lines = read_text(path, MAX_ALLOWED_BYTES).splitlines()
    except FileUnusable as error:
        raise Misuse(str(error)) from None
    digests = (line.partition("#")[0].strip() for line in lines)
    return frozenset(parse_digest(digest) for digest in digests if digest)


def verify_allowed(digest: bytes, allowed: Collection[bytes]) -> None:
    """Check that the member allows this code.

    Raises:
        CodeRefused: It does not; the message says how to read the code and how to allow it.
    """
    if digest not in allowed:
        name = digest.hex()
        raise CodeRefused(
            f'the task runs code {name}: read it with "ganchor code show {name}", '
            f"then start the node with --allow-code {name}"
        )
