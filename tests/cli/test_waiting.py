"""A node waits for a chain that is away when it starts, as long as `--patience` says, and not for what never mends."""

from __future__ import annotations

import json
import time

import pytest
from commanding import STRANGER, Ganchor, Live, key_of
from proxy import EVERY, Proxy, Reply, proxy_to, refusal

from chain.connection import SILENCES

BAD_STARTS = {
    "cut": Reply(b'{"jsonrpc"', headers={"Content-Length": "99"}),
    "no JSON": Reply(b"<html>"),
    "500": Reply(b"", 500),
    "deep": Reply(b"[" * 100_000),
    "nothing": Reply(b""),
}


@pytest.fixture(autouse=True)
def stranger(ganchor: Ganchor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who is no member: the node ends as soon as it has read the manifest."""
    monkeypatch.setenv("GANCHOR_PRIVATE_KEY", key_of(STRANGER))


def node(ganchor: Ganchor, live: Live, proxy: Proxy, patience: float, *words: object):
    waiting = ["--patience", patience, "--poll", 0.02]
    there = live.through(proxy.url)
    return ganchor("node", "--task", live.open, *there.options, *waiting, *words)


@pytest.mark.parametrize("method", ["eth_chainId", "eth_getCode", "eth_call"])
@pytest.mark.parametrize("start", BAD_STARTS)
def test_a_bad_start_is_waited_out(ganchor: Ganchor, live: Live, start: str, method: str) -> None:
    # A cut answer is asked for again.
    bad = iter([BAD_STARTS[start]] * (SILENCES if start == "cut" else 1))
    with proxy_to(live.url) as proxy:
        proxy.on(method, lambda request, ask: next(bad, None) or ask())
        outcome = node(ganchor, live, proxy, patience=20)
    assert outcome.out.startswith("waiting: ")
    assert f"not a member of task {live.open}" in outcome.err


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_endpoint_is_asked_again_at_once(ganchor: Ganchor, live: Live, status: int) -> None:
    busy = iter([Reply(b"", status)] * 5)
    with proxy_to(live.url) as proxy:
        proxy.on(EVERY, lambda request, ask: next(busy, None) or ask())
        outcome = node(ganchor, live, proxy, patience=20)
    assert outcome.out == ""
    assert f"not a member of task {live.open}" in outcome.err


def test_patience_counts_from_the_start(ganchor: Ganchor, live: Live) -> None:
    began = time.monotonic()
    with proxy_to(live.url) as proxy:
        proxy.reply(EVERY, Reply(b"", 503))
        outcome = node(ganchor, live, proxy, patience=0.3)
    assert time.monotonic() - began < 30
    assert (outcome.code, outcome.err) == (
        2,
        f"error: {proxy.url} refused: HTTP 503 Service Unavailable\n",
    )
    assert outcome.out.count("waiting: ") <= 1  # the same trouble is told once


def test_what_never_mends_is_not_waited_for(ganchor: Ganchor, live: Live) -> None:
    with proxy_to(live.url) as proxy:
        proxy.change("eth_chainId", lambda _: "0x1")
        assert "serves chain 1, expected" in node(ganchor, live, proxy, patience=600).err
        proxy.restore()
        proxy.change("eth_getCode", lambda _: "0x00")
        outcome = node(ganchor, live, proxy, patience=600)
    assert "other code at" in outcome.err
    assert outcome.out == ""


@pytest.mark.parametrize("url", ["", "127.0.0.1:8545", "ws://127.0.0.1:8545", "http://"])
def test_what_is_no_endpoint_is_not_waited_for(ganchor: Ganchor, live: Live, url: str) -> None:
    outcome = ganchor("node", *live.through(url).options, "--patience", 600)
    assert (outcome.code, outcome.out) == (2, "")
    assert "expected an http:// or https:// URL" in outcome.err


def test_as_json_a_notice_is_a_line_whatever_the_node_says(ganchor: Ganchor, live: Live) -> None:
    told = "\x1b[2J\n\u2028\x9b" + '"}\n{"event": "finished"}' + "x" * 100_000
    once = iter([told])
    with proxy_to(live.url) as proxy:
        proxy.on(
            "eth_call",
            lambda request, ask: refusal(request, text) if (text := next(once, None)) else ask(),
        )
        outcome = node(ganchor, live, proxy, 20, "--log-format", "json")
    (line,) = outcome.out.splitlines()
    said = json.loads(line)
    assert said["event"] == "waiting"
    assert r"\x1b[2J \x9b" in said["reason"]
    assert len(said["reason"]) < 1_000
