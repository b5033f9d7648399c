"""Calls of a user's code: whatever it raises becomes one line that names the method."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fl_node.errors import GanchorError, TrainingFailed

MOST = 300
"""Characters of an error's text that are shown."""


@contextmanager
def calling(what: str, error: type[GanchorError] = TrainingFailed) -> Iterator[None]:
    """Inside, any error but this package's own becomes an `error` that says where it was raised.

    Args:
        what: What is called, such as `loss()`.
        error: The error's new type.
    """
    try:
        yield
    except GanchorError:
        raise
    except (Exception, SystemExit) as trouble:
        raise error(f"{what} raised {type(trouble).__name__}: {first_line(trouble)}") from trouble


def first_line(trouble: BaseException) -> str:
    """The first line of an error's text, without control characters."""
    lines = str(trouble).strip().splitlines() or [""]
    return "".join(sign if sign.isprintable() else " " for sign in lines[0])[:MOST]
