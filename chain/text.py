"""Text that somebody else wrote, made fit for a terminal, a log and an error message.

An endpoint, a store, a file or a peer may put anything into a message: an escape sequence that clears the screen and
writes a false verdict, a change of the direction of writing, ten megabytes without an end.
"""

from __future__ import annotations

import unicodedata

MAX_SHOWN = 500
"""Characters of foreign text that are shown."""

_UNSHOWN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Unicode's categories of characters that steer instead of showing something: control characters, marks of writing
direction and others of format, halves of surrogate pairs, separators of lines, and what has no meaning yet."""


def shown(text: object, limit: int = MAX_SHOWN) -> str:
    r"""Return foreign text on one line, without characters that steer a terminal, and cut.

    White space becomes single spaces; a character that would not show itself becomes its escape (`\x1b`).

    Args:
        text: Anything; its `str` is shown.
        limit: Characters of the text that are looked at; "…" stands for the rest.
    """
    whole = str(text)
    line = " ".join(whole[:limit].split())
    return "".join(map(_visible, line)) + ("…" if len(whole) > limit else "")


def _visible(character: str) -> str:
    if unicodedata.category(character) not in _UNSHOWN:
        return character
    return character.encode("unicode_escape").decode()
