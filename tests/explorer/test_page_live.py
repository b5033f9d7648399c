"""The page beside a task that runs, in a real browser: what comes is shown, and what goes wrong is said."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import pytest
from bench.long_history import Endpoint, served
from browsing import needs_browser, tab
from doubles import (
    MEMBERS,
    Clock,
    DriftingLearner,
    Federation,
    small_genesis,
    small_manifest,
)
from playwright.sync_api import Browser, Page, expect
from proxy import EVERY, Answer, Proxy, Reply, proxy_to

from chain.connection import connect
from chain.deploy import verify_contract
from chain.errors import ContractMismatch
from chain.memory_ledger import MemoryLedger
from chain.serving import running_in_thread
from chain.types import Phase, UpdateRevealed
from fl_node.blobs.global_state import first_state
from fl_node.blobs.store import key_of, open_store
from fl_node.explorer.serving import Site, run
from fl_node.member.opening import open_task
from fl_node.witness.cosigning import cosign
from fl_node.witness.keys import witness_key
from fl_node.witness.note import Checkpoint, Note

pytestmark = [needs_browser, pytest.mark.slow]
VERIFIED = "Verified by this browser: {0} of {0} rounds"
"""Milliseconds: the page looks every two seconds, and every five after a trouble."""


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    with tab(chromium) as opened:
        yield opened


def opened_task(folder: Path, started: int, drift: int = 1) -> Federation:
    """A task of three rounds, whose chain's clock stands at `started`; another `drift` gives other updates."""
    clock = Clock(started)
    manifest = small_manifest(rounds={"count": 3})
    ledger, store = MemoryLedger(clock=clock), open_store(folder / "store")
    genesis = first_state(small_genesis(), manifest.strategy.slots)
    task = open_task(ledger, store, manifest, genesis).task
    learners = {member: DriftingLearner(drift + i) for i, member in enumerate(MEMBERS)}
    nodes = folder / f"nodes-{drift}"
    return Federation(nodes, ledger, store, manifest, task, clock, learners)


@pytest.fixture
def running(tmp_path: Path) -> Federation:
    """A task that was opened just now."""
    return opened_task(tmp_path, int(time.time()))


def play_round(federation: Federation) -> None:
    """Let everybody take part until the current round is final."""
    begun = federation.ledger.task_state(federation.task).round
    nodes = [federation.start(member) for member in MEMBERS]
    for _ in range(30):
        for node in nodes:
            node.step()
            state = federation.ledger.task_state(federation.task)
            if state.round > begun or state.phase is Phase.FINISHED:
                return
    raise AssertionError("the round did not become final")


def chain_of(federation: Federation) -> AbstractContextManager[Endpoint]:
    """Its chain behind JSON-RPC."""
    return served(federation.ledger, federation.task)


@contextmanager
def explorer(federation: Federation, rpc_url: str) -> Iterator[str]:
    """The server of `ganchor explore`; yields its URL."""
    site = Site(federation.ledger.chain_id, federation.ledger.contract, 0, federation.task)
    serving = partial(run, site, connect(rpc_url), federation.store, 0)
    with running_in_thread(serving, "explorer-test") as url:
        yield url


def expect_verified(page: Page, rounds: int) -> None:
    expect(page.locator("#verdict")).to_have_text(VERIFIED.format(rounds))
    expect(page.locator("#verdict")).to_have_class("verdict good")


def test_a_running_task_updates_by_itself_and_verifies_what_is_new(
    page: Page, running: Federation
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    with chain_of(running) as chain, explorer(running, chain.url) as url:
        page.goto(url)
        expect(page.locator("#verdict")).to_have_text("No round is final yet; the log is verified")
        for number in (1, 2, 3):
            asked.clear()
            play_round(running)
            expect_verified(page, number)
            updates = {
                one.event.reveal.update_digest.hex(): one.event.round
                for one in running.ledger.history(running.task)
                if isinstance(one.event, UpdateRevealed)
            }
            assert {updates[name] for name in asked if name in updates} == {number}
        expect(page.locator("#now")).to_contain_text("finished")
        expect(page.locator("#changed")).to_be_hidden()


def test_what_a_witness_signed_is_a_point_of_the_log_however_it_grows(
    page: Page, running: Federation
) -> None:
    ledger, key = running.ledger, witness_key("alice.example/witness", bytes(32))
    head = ledger.task_state(running.task).history_head
    point = Checkpoint(ledger.chain_id, ledger.contract, running.task, 2, head)
    with chain_of(running) as chain, explorer(running, chain.url) as url:
        page.goto(url)
        page.fill("#keys", str(key.verifier))
        page.fill("#pasted", str(Note(point, (cosign(point, key, 5),))))
        signed = page.locator("#cosigned .good")
        expect(signed).to_contain_text("event 2 of 2,")
        play_round(running)
        expect_verified(page, 1)
        expect(signed).not_to_contain_text("event 2 of 2,")
        expect(signed).to_contain_text("event 2 of ")


def test_the_time_that_is_left_runs_down(page: Page, running: Federation) -> None:
    with chain_of(running) as chain, explorer(running, chain.url) as url:
        page.goto(url)
        left = page.locator("#left")
        expect(left).to_contain_text("min")
        first = left.inner_text()
        expect(left).not_to_have_text(first)
        assert seconds_in(left.inner_text()) < seconds_in(first)


def seconds_in(words: str) -> int:
    """Such as "1 h 3 min" or "9 min 59 s"."""
    units = {"h": 3600, "min": 60, "s": 1}
    parts = words.split()
    return sum(
        int(count) * units[unit] for count, unit in zip(parts[::2], parts[1::2], strict=True)
    )


@pytest.mark.parametrize("rounds", [1, 3])
def test_a_model_that_is_stored_after_its_round_turns_the_page_green_by_itself(
    page: Page, running: Federation, tmp_path: Path, rounds: int
) -> None:
    """A round is final before its model has gone up a slow line, and after the last round no event follows."""
    for _ in range(rounds):
        play_round(running)
    digest = running.ledger.task_state(running.task).parent_digest
    path = tmp_path / "store" / key_of(digest)
    stored = path.rename(tmp_path / "on its way")
    with chain_of(running) as chain, explorer(running, chain.url) as url:
        page.goto(url)
        expect(page.locator("#verdict")).to_contain_text(f"the store does not have {digest.hex()}")
        button = page.get_by_role("button", name="round 1")
        button.focus()
        for _ in range(2):  # the second is asked for when the first has been told
            page.wait_for_event("request", lambda request: request.url.endswith(digest.hex()))
        expect(button).to_be_focused()
        stored.rename(path)
        expect_verified(page, rounds)


def test_the_page_can_be_open_twice(chromium: Browser, running: Federation) -> None:
    with (
        chain_of(running) as chain,
        explorer(running, chain.url) as url,
        tab(chromium) as one,
        tab(chromium) as other,
    ):
        one.goto(url)
        other.goto(url)
        play_round(running)
        for opened in (one, other):
            expect_verified(opened, 1)
            expect(opened.locator("#away")).to_be_hidden()


@contextmanager
def seen_through_proxy(federation: Federation) -> Iterator[tuple[Proxy, str]]:
    """The page's server asks a proxy; yields the proxy and the page's URL."""
    with (
        chain_of(federation) as chain,
        proxy_to(chain.url) as proxy,
        explorer(federation, proxy.url) as url,
    ):
        yield proxy, url


def test_a_chain_that_stops_is_said_and_comes_back(page: Page, running: Federation) -> None:
    with seen_through_proxy(running) as (proxy, url):
        page.goto(url)
        play_round(running)
        expect_verified(page, 1)
        proxy.reply(EVERY, Reply(b"", 500))
        expect(page.locator("#away")).to_contain_text("the page goes on asking")
        expect(page.locator("#verdict")).to_have_text(VERIFIED.format(1))
        play_round(running)
        proxy.restore()
        expect_verified(page, 2)
        expect(page.locator("#away")).to_be_hidden()


def test_an_endpoint_that_says_nothing_is_not_waited_for_in_silence(
    page: Page, running: Federation
) -> None:
    asked_again = threading.Event()
    with seen_through_proxy(running) as (proxy, url):

        def silent(_: object, ask: Callable[[], Answer]) -> Answer:
            asked_again.wait(60)
            return ask()

        proxy.on("eth_getBlockByNumber", silent)
        page.goto(url)
        expect(page.locator("#away")).to_contain_text("has not answered for 15 s")
        asked_again.set()
        expect(page.locator("#away")).to_be_hidden()


def test_a_chain_whose_blocks_are_old_may_stand_still(page: Page, tmp_path: Path) -> None:
    federation = opened_task(tmp_path, int(time.time()) - 1000)
    with chain_of(federation) as chain, explorer(federation, chain.url) as url:
        page.goto(url)
        expect(page.locator("#newest")).to_contain_text(re.compile("1[678] min"))
        expect(page.locator("#newest")).to_contain_text("or it stands still")


@pytest.mark.parametrize("away", ["rpc", "store"])
def test_an_endpoint_that_answers_no_web_pages_is_named(
    page: Page, running: Federation, away: str
) -> None:
    """Neither the chain nor a server of files allows other sites' pages (CORS)."""
    with chain_of(running) as chain, explorer(running, chain.url) as url:
        where = {"rpc": f"{url}/rpc", "store": f"{url}/blobs/", away: chain.url}
        ledger = running.ledger
        more = {"chain_id": ledger.chain_id, "contract": ledger.contract, "task": running.task}
        page.goto(f"{url}?{urlencode({**where, **more})}")
        expect(page.locator("#away")).to_contain_text("CORS")
        expect(page.locator("#away")).to_contain_text("store" if away == "store" else "endpoint")
        expect(page.locator(".good")).to_have_count(0)


def test_an_event_that_is_hidden_for_a_while_is_found_and_said(
    page: Page, running: Federation
) -> None:
    with seen_through_proxy(running) as (proxy, url):
        proxy.change("eth_getLogs", lambda found: found[:3] + found[4:])
        play_round(running)
        page.goto(url)
        expect(page.locator("#verdict")).to_contain_text(
            "A2: the event log does not give the contract's history head"
        )
        expect(page.locator("#timeline .good")).to_have_count(0)
        proxy.restore()
        play_round(running)
        expect_verified(page, 2)
        expect(page.locator("#changed")).to_contain_text("Event 4 is not what")


def test_a_reorganisation_is_said_and_verified_from_the_beginning(
    page: Page, running: Federation, tmp_path: Path
) -> None:
    other = opened_task(tmp_path, running.clock.time, drift=5)
    with chain_of(running) as chain, explorer(running, chain.url) as url:
        page.goto(url)
        play_round(running)
        expect_verified(page, 1)
        play_round(other)
        play_round(other)
        chain.tell(other.ledger)
        expect_verified(page, 2)
        expect(page.locator("#changed")).to_contain_text("Event 3 is not what")
        head = other.ledger.task_state(other.task).history_head.hex()
        expect(page.locator("#now")).to_contain_text(head)


def test_another_chain_is_no_history_of_this_task(page: Page, running: Federation) -> None:
    with chain_of(running) as chain, explorer(running, chain.url) as url:
        where = {"rpc": f"{url}/rpc", "store": f"{url}/blobs/", "task": running.task}
        asked = {**where, "chain_id": 1, "contract": running.ledger.contract}
        page.goto(f"{url}?{urlencode(asked)}")
        expect(page.locator("#verdict")).to_have_text(
            f"Not as recorded: A1: the endpoint serves chain {running.ledger.chain_id}, expected 1",
        )
        expect(page.locator(".good")).to_have_count(0)


@pytest.mark.parametrize("code", ["0x", "0xfe"])
def test_other_code_at_the_address_is_what_the_audit_says_that_it_is(
    page: Page, running: Federation, code: str
) -> None:
    with seen_through_proxy(running) as (proxy, url):
        proxy.change("eth_getCode", lambda _: code)
        with pytest.raises(ContractMismatch) as mismatch:
            verify_contract(connect(proxy.url), running.ledger.contract)
        page.goto(url)
        expect(page.locator("#verdict")).to_have_text(f"Not as recorded: A1: {mismatch.value}")
        expect(page.locator("#verdict")).to_have_class("verdict bad")
        expect(page.locator("#steps")).to_contain_text("A1 found that this is not the contract")
        expect(page.locator("#timeline td")).to_have_count(0)


def test_an_endpoint_that_is_away_at_first_is_asked_for_the_code_again(
    page: Page, running: Federation
) -> None:
    with seen_through_proxy(running) as (proxy, url):
        proxy.refuse("eth_getCode", "not yet")
        page.goto(url)
        expect(page.locator("#away")).to_contain_text("refuses eth_getCode")
        expect(page.locator(".good")).to_have_count(0)
        proxy.restore()
        play_round(running)
        expect_verified(page, 1)
        row = page.locator("#steps tr", has=page.get_by_role("cell", name="A1", exact=True))
        expect(row).to_contain_text("✓ checked here: clean")
