"""Python's limit on recursion, which libraries below us change for the whole process.

py_ecc, which eth_account and py-evm load, sets the limit to 100,000 when it is imported, and py-evm sets it
to 12,288. Behind such a limit deeply nested JSON overruns the stack, which ends the process, where
Python would raise RecursionError. Whoever loads these libraries here puts the limit back.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def recursion_limit(limit: int | None = None) -> Iterator[None]:
    """Set the limit within, and put it back afterwards, whatever is done to it within.

    Args:
        limit: Frames; None keeps the limit that holds now.
    """
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(limit or before)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
