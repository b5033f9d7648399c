"""Text that somebody else wrote cannot steer a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.text import MAX_SHOWN, shown, visible


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain text, Grüße, 日本語, 👍", "plain text, Grüße, 日本語, 👍"),
        ("two\nlines\r\n\tand a tab", "two lines and a tab"),
        ("\x1b[2J\x1b[Hclean", r"\x1b[2J\x1b[Hclean"),
        ("\x9b31mred\x07", r"\x9b31mred\x07"),
        ("a\u202eb\u2066c\u200fd", r"a\u202eb\u2066c\u200fd"),
        ("a\u2028b\u2029c\x85d", "a b c d"),
        ("half a pair \ud800", r"half a pair \ud800"),
        ("nul \0 and del \x7f", r"nul \x00 and del \x7f"),
        ("", ""),
    ],
)
def test_what_shows_itself_stays_and_what_steers_becomes_its_escape(text: str, line: str) -> None:
    assert shown(text) == line


def test_it_is_cut_and_says_so() -> None:
    assert shown("x" * 10_000_000) == "x" * MAX_SHOWN + "…"
    assert shown("abc", 3) == "abc"
    assert shown("abcd", 3) == "abc…"


@given(st.text(alphabet=st.characters(), max_size=700))
def test_any_text_becomes_one_bounded_line_that_can_be_printed(text: str) -> None:
    line = shown(text)
    assert line.isprintable()
    assert len(line) <= 10 * MAX_SHOWN + 1
    line.encode()


def test_a_visible_line_keeps_its_spaces_and_shows_what_controls_a_terminal() -> None:
    assert visible("    x = 1") == "    x = 1"
    assert visible("a\x1b[2J\u202eb\n") == "a\\x1b[2J\\u202eb\\n"
    assert visible("abc", 2) == "ab…"
