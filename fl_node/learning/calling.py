"""Calls of a user's code: whatever it raises becomes one line that names the method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

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
        raise error(f"{what} raised {named(trouble)}") from trouble


def as_dict(
    what: str, given: object, example: str, error: type[GanchorError] = TrainingFailed
) -> dict[str, Any]:
    """What a user's code gave, which is to be a dict.

    Args:
        what: What gave it, such as `measure()`.
        given: Anything.
        example: What would be right.
        error: The type of the error.
    """
    if not isinstance(given, Mapping):
        raise error(f"{what} gave a {type(given).__name__}; a dict is expected, such as {example}")
    return {str(name): value for name, value in given.items()}


def named(trouble: BaseException) -> str:
    """An error's type and the first line of its text, without control characters."""
    name = type(trouble).__name__
    try:
        lines = str(trouble).strip().splitlines()
    except Exception:  # It is a class of the user's own.
        return name
    words = "".join(sign if sign.isprintable() else " " for sign in (lines or [""])[0])
    return f"{name}: {words[:MOST]}" if words else name
