"""A federation behind an endpoint that fails now and then ends with the model of one whose endpoint never does."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from commanding import MEMBERS, STRANGER, Live, finished_task
from proxy import EVERY, Answer, Proxy, Reply, changed, proxy_to, refusal

from chain.accounts import address_of
from chain.devnet import devnet_in_thread
from chain.errors import ChainRefused, ChainUnreachable, HistoryInvalid
from chain.web3_ledger import Web3Ledger
from fl_node.cli import wiring
from fl_node.cli.workspace import Workspace

Ask = Callable[[], Answer]

BROKEN: list[Callable[[dict[str, Any], Ask], Answer | Reply]] = [
    lambda request, ask: Reply(b"<html>"),
    lambda request, ask: Reply(b"", 503),
    lambda request, ask: Reply(b"", 400),
    lambda request, ask: refusal(request, "header not found"),
    lambda request, ask: Reply(b'{"jsonrpc"', headers={"Content-Length": "99"}),
    lambda request, ask: changed(ask(), lambda found: None),
]


def now_and_then(proxy: Proxy) -> Callable[[dict[str, Any], Ask], Answer | Reply]:
    """Once the task is open, break every 7th answer in another way, and lag with every other look at the log."""
    requests, looks, ways = itertools.count(1), itertools.count(1), itertools.cycle(BROKEN)

    def handle(request: dict[str, Any], ask: Ask) -> Answer | Reply:
        if proxy.asked.count("eth_sendRawTransaction") <= 2:
            return ask()
        if next(requests) % 7 == 0:
            return next(ways)(request, ask)
        if request["method"] == "eth_getLogs" and next(looks) % 2:
            return changed(ask(), lambda found: found[:-3])
        return ask()

    return handle


def test_it_ends_with_the_same_model(live: Live, tmp_path: Path) -> None:
    place = Workspace(tmp_path / "workspace")
    place.create()
    funded = [address_of(signer) for signer in (*MEMBERS, STRANGER)]
    troubles: list[Exception] = []
    with devnet_in_thread(place.database, fund=funded) as url, proxy_to(url) as proxy:
        proxy.on(EVERY, now_and_then(proxy))
        task = finished_task(proxy.url, place, notice=troubles.append)
        ledger: Web3Ledger = wiring.open_ledger(url, place.deployment)
        final = ledger.task_state(task).parent_digest
    assert final == live.ledger().task_state(live.finished).parent_digest
    assert {type(trouble) for trouble in troubles} >= {
        ChainRefused,
        ChainUnreachable,
        HistoryInvalid,
    }
