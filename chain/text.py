"""Makes foreign text fit for a terminal, a log or an error message.

An endpoint, a store, a file or a peer may put anything into a message: an escape sequence that clears the screen and
writes a false verdict, a change of the text's direction, or a line of ten megabytes.
"""

from __future__ import annotations

import unicodedata

MAX_SHOWN = 500
"""How many characters of a foreign text are shown."""

_UNSHOWN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Unicode categories of characters that are not printed as themselves: control and format characters (such as
direction marks), halves of surrogate pairs, line separators, and unassigned code points."""


def shown(text: object, limit: int = MAX_SHOWN) -> str:
    r"""Return foreign text as one short line without control characters.

    Runs of white space become single spaces; a character that cannot be printed becomes its escape (`\x1b`).

    Args:
        text: Anything; its `str` is shown.
        limit: How many characters of the text are used; "…" stands for the rest.
    """
    whole = str(text)
    line = " ".join(whole[:limit].split())
    return "".join(map(_visible, line)) + ("…" if len(whole) > limit else "")


def visible(line: str, limit: int = MAX_SHOWN) -> str:
    r"""Return a line of foreign text as it is, spaces too, but with escapes for what cannot be printed (`\x1b`).

    Args:
        line: One line; a line break in it becomes its escape.
        limit: How many of its characters are used; "…" stands for the rest.
    """
    return "".join(map(_visible, line[:limit])) + ("…" if len(line) > limit else "")


def _visible(character: str) -> str:
    if unicodedata.category(character) not in _UNSHOWN:
        return character
    return character.encode("unicode_escape").decode()
