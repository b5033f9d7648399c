"""A store's location is shown without what lets somebody in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_node.blobs.location import names_credentials, reason_of, shown_location


@pytest.mark.parametrize(
    ("where", "shown"),
    [
        ("/data/weights", "/data/weights"),
        ("C:/weights", "C:/weights"),
        ("weights@home", "weights@home"),
        ("s3://bucket/prefix", "s3://bucket/prefix"),
        ("https://user:secret@host:9000/a/b", "https://host:9000/a/b"),
        ("https://token@host", "https://host"),
        ("https://host/a?sig=secret", "https://host/a"),
        ("https://host/a#secret", "https://host/a"),
        ("https://user:se/cret@host/a", "https://host/a"),
        ("https://user:se?cret@host/a", "https://…"),
        ("user:secret@host/a", "host/a"),
        ("host/a?sig=secret", "host/a"),
        ("https://host/\x1b[2J", r"https://host/\x1b[2J"),
    ],
)
def test_what_is_shown(where: str, shown: str) -> None:
    assert shown_location(where) == shown


@pytest.mark.parametrize("folder", ["store", "/a/b", "C:/weights", "a@b", "./user:x/y@z", "what?"])
def test_a_folder_is_no_url(folder: str) -> None:
    assert not names_credentials(folder)


@pytest.mark.parametrize(
    "said",
    [
        "wrong password s3cr3t+1",
        "wrong password s3cr3t%2B1",
        "got https://other:s3cr3t+1@host/x?y=s3cr3t+1",
    ],
)
def test_a_reason_repeats_no_secret_in_any_spelling(said: str) -> None:
    reason = reason_of(ValueError(said), "https://user:s3cr3t%2B1@host/a?sig=abcd")
    assert "s3cr3t" not in reason and reason


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=12))
def test_no_password_of_any_kind_is_shown(password: str) -> None:
    where = f"https://user:{password}@host/weights"
    assert password not in shown_location(where)
    assert password not in reason_of(ValueError(f"cannot parse {where}"), where)
