"""Keeps Python's recursion limit, which some libraries change for the whole process.

py_ecc, which eth_account and py-evm load, sets the limit to 100,000 when it is imported, and py-evm sets it to 12,288.
With such a limit deeply nested JSON overruns the stack and crashes the process, where Python would otherwise raise
RecursionError. So the modules that import these libraries do so within `recursion_limit`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def recursion_limit(limit: int | None = None) -> Iterator[None]:
    """Set the limit inside the `with` block, and restore it afterwards even if the block changes it.

    Args:
        limit: The limit in frames; None keeps the current one.
    """
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(limit or before)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
