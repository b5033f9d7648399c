"""Which refusals pass by themselves, and how long to wait before asking again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.busy import MAX_ASKED_SECONDS, MAX_WAIT_SECONDS, is_busy, pause, retry_after

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


class TestBusy:
    @pytest.mark.parametrize(
        ("method", "code", "message"),
        [
            ("eth_call", -32005, "limit exceeded"),
            ("eth_call", -32097, "x"),
            ("eth_call", -32016, "over rate limit"),
            ("eth_call", 429, "Your app has exceeded its compute units per second capacity"),
            ("eth_getLogs", -32005, "daily request count exceeded, request rate limited"),
            ("eth_getLogs", -32000, "Too many requests, please try again later"),
            ("eth_blockNumber", -32603, "server overloaded"),
        ],
    )
    def test_of_requests(self, method: str, code: int, message: str) -> None:
        assert is_busy(method, code, message)

    @pytest.mark.parametrize(
        ("method", "code", "message"),
        [
            ("eth_getLogs", -32005, "limit exceeded"),
            ("eth_getLogs", -32005, "query returned more than 10000 results"),
            ("eth_getLogs", -32602, "block range is too wide"),
            ("eth_call", -32005, "execution aborted: it takes more than 5 s to compute"),
            ("eth_call", 3, "execution reverted"),
            ("eth_sendRawTransaction", -32000, "nonce too low"),
            ("eth_sendRawTransaction", -32000, "replacement transaction underpriced"),
            ("eth_sendRawTransaction", -32000, "insufficient funds for gas * price + value"),
            ("eth_call", None, ""),
            ("eth_call", [], "None"),
        ],
    )
    def test_but_not_of_something_else(self, method: str, code: object, message: str) -> None:
        assert not is_busy(method, code, message)


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("header", "seconds"),
        [
            ("0", 0),
            (" 12 ", 12),
            ("86400", MAX_ASKED_SECONDS),
            ("Sat, 28 Nov 2026 12:00:30 GMT", 30),
            ("Sat, 28 Nov 2026 11:00:00 GMT", 0),
            ("Sat, 28 Nov 9999 12:00:00 GMT", MAX_ASKED_SECONDS),
        ],
    )
    def test_in_seconds_or_as_a_date(self, header: str, seconds: float) -> None:
        assert retry_after(header, NOON) == seconds

    @pytest.mark.parametrize("header", [None, "", "soon", "-1", "1.5", "1e9", "Sat, 99 Nov 2026"])
    def test_that_cannot_be_read(self, header: str | None) -> None:
        assert retry_after(header, NOON) is None

    @given(st.text(max_size=60))
    def test_of_any_text(self, header: str) -> None:
        seconds = retry_after(header, NOON)
        assert seconds is None or 0 <= seconds <= MAX_ASKED_SECONDS


@given(st.integers(1, 10**6), st.none() | st.floats(0, MAX_ASKED_SECONDS))
def test_a_pause_is_what_was_asked_for_and_a_bounded_share(
    failures: int, asked: float | None
) -> None:
    least = asked or 0.0
    assert least <= pause(failures, asked) <= least + MAX_WAIT_SECONDS


def test_members_that_were_refused_together_do_not_come_back_together() -> None:
    assert len({pause(5) for _ in range(10)}) == 10
