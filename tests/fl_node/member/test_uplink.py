"""The warning of a slow uplink: with the numbers, and only where they do not fit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_node.member.uplink import slow_uplink

MBIT = 1e6 / 8


def test_the_warning_has_the_numbers() -> None:
    slow = slow_uplink(14_300_000, 2 * MBIT, 30, early=False)
    assert str(slow) == (
        "an update of 14.3 MB takes about 57 s at 2.0 Mbit/s; the reveal window is 30 s"
    )


def test_with_an_early_upload_it_says_what_that_may_help() -> None:
    slow = slow_uplink(14_300_000, 2 * MBIT, 30, early=True)
    assert str(slow).endswith("is 30 s, so it counts only in rounds in which others train longer")


@pytest.mark.parametrize("rate", [4 * MBIT, 100 * MBIT])
def test_an_update_that_gets_through_needs_no_warning(rate: float) -> None:
    assert slow_uplink(14_300_000, rate, 30, early=False) is None


@given(st.integers(0, 1 << 40), st.floats(0, 1e12), st.integers(1, 1 << 24), st.booleans())
def test_it_warns_of_what_takes_longer_than_the_window(
    size: int, rate: float, window: int, early: bool
) -> None:
    slow = slow_uplink(size, rate, window, early)
    assert (slow is not None) == (size > window * max(rate, 1.0)) or abs(
        size / max(rate, 1.0) - window
    ) < 1e-6 * window
    assert slow is None or str(slow).isprintable()
