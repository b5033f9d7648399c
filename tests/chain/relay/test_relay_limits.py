"""How many requests and how much gas a relay gives."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import FileUnusable
from chain.relay.limits import DAY_SECONDS, Bucket, Caps, Purse

CAPS = Caps(task=500, day=300)


def test_a_bucket_gives_its_size_and_then_its_rate():
    bucket = Bucket(size=3, rate=0.5)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(1.9)
    assert bucket.take(2.0)
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]


@settings(deadline=None)
@given(st.lists(st.floats(0, 1000), min_size=1, max_size=60).map(sorted))
def test_no_bucket_gives_more_than_size_and_rate(times: list[float]):
    bucket = Bucket(size=5, rate=1)
    given_away = sum(bucket.take(now) for now in times)
    assert given_away <= 5 + (times[-1] - times[0]) + 1e-6


def test_a_day_has_a_limit_and_then_another_begins():
    purse = Purse(CAPS)
    assert not purse.objection(1, 300, 0)
    purse.spend(1, 200, 0)
    assert "at most 300 gas for a day, and has paid 200" in purse.objection(2, 101, 0)
    assert not purse.objection(2, 101, DAY_SECONDS)
    assert purse.spent_today == 0


def test_a_task_has_a_limit_over_all_days():
    purse = Purse(CAPS)
    for day in range(2):
        purse.spend(1, 250, day * DAY_SECONDS)
    assert "for task 1" in purse.objection(1, 1, 2 * DAY_SECONDS)
    assert not purse.objection(2, 1, 2 * DAY_SECONDS)


def test_what_was_set_aside_and_not_taken_comes_back():
    purse = Purse(CAPS)
    purse.spend(1, 300, 0)
    purse.spend(1, -250, 0)
    assert not purse.objection(1, 250, 0)


def test_a_clock_that_runs_backwards_gives_no_new_day():
    purse = Purse(CAPS)
    purse.spend(1, 300, DAY_SECONDS)
    assert purse.objection(1, 1, 0)


def test_a_restart_forgives_nothing(tmp_path: Path):
    book = tmp_path / "relay.json"
    Purse(CAPS, book).spend(1, 299, 5)
    again = Purse(CAPS, book)
    assert again.spent_today == 299
    assert again.objection(1, 2, 6)
    assert not again.objection(1, 1, 6)


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[]", '{"day": "x", "spent_today": 1, "spent_on": {}}', "[" * 200,
     '{"day": 1e999, "spent_today": 1, "spent_on": {}}',
     '{"day": 1, "spent_today": 1, "spent_on": 7}'],
)  # fmt: skip
def test_a_damaged_book_is_refused(tmp_path: Path, content: str):
    book = tmp_path / "relay.json"
    book.write_text(content)
    with pytest.raises(FileUnusable, match="not the book of a relay"):
        Purse(CAPS, book)


def test_a_book_that_is_a_folder_is_refused(tmp_path: Path):
    with pytest.raises(FileUnusable):
        Purse(CAPS, tmp_path)
