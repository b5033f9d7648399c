"""The page in a real browser: it verifies what is honest, and shows where something is not."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import Scheme, assert_usable, explorer, needs_axe, needs_browser, tab
from commanding import MEMBERS, STRANGER, Live, finished_task
from playwright.sync_api import Browser, Page, Route, expect
from proxy import proxy_to

from chain.accounts import address_of
from chain.devnet import devnet_in_thread
from chain.types import RoundFinalised, UpdateRevealed
from fl_node.blobs.store import key_of
from fl_node.cli.workspace import Workspace

pytestmark = [needs_browser, pytest.mark.slow]
VERIFIED = "Verified by this browser: 2 of 2 rounds"


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    with tab(chromium) as opened:
        yield opened


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A finished task of two members and two rounds, on a chain that runs."""
    place = Workspace(tmp_path_factory.mktemp("explorer"))
    funded = [address_of(signer) for signer in (*MEMBERS, STRANGER)]
    with devnet_in_thread(place.database, fund=funded) as url:
        task = finished_task(url, place, rounds={"count": 2})
        yield Live(url, place, task, task)


@pytest.fixture
def history(played: Live, tmp_path: Path) -> Live:
    """The same with a store of its own, which a test may spoil."""
    place = Workspace(tmp_path / "workspace")
    shutil.copytree(played.place.folder, place.folder)
    return Live(played.url, place, played.finished, played.open)


def revealed(live: Live) -> list[UpdateRevealed]:
    entries = live.ledger().history(live.finished)
    return [entry.event for entry in entries if isinstance(entry.event, UpdateRevealed)]


def spoil(live: Live, digest: bytes) -> None:
    """Flip one bit of a blob."""
    path = live.place.store / key_of(digest)
    blob = bytearray(path.read_bytes())
    blob[-1] ^= 1
    path.chmod(0o600)
    path.write_bytes(blob)


def test_an_honest_history_is_verified(page: Page, history: Live) -> None:
    with explorer(history, history.finished) as url:
        page.goto(url)
        expect(page.locator("#verdict")).to_have_text(VERIFIED)
        expect(page.locator("#timeline .good")).to_have_count(2)
        expect(page.locator("#steps .good")).to_have_count(8)  # A1 to A8
        head = history.ledger().task_state(history.finished).history_head.hex()
        expect(page.locator("#now")).to_contain_text(head)


def test_a_file_of_the_page_that_does_not_arrive_is_asked_for_again(
    page: Page, history: Live
) -> None:
    """As when a laptop changes its network: the browser gives up what it is loading."""
    failing = 2

    def give_up(route: Route) -> None:
        nonlocal failing
        failing -= 1
        return route.abort("connectionreset") if failing >= 0 else route.continue_()

    page.route("**/replay.js", give_up)
    with explorer(history, history.finished) as url:
        page.goto(url)
        expect(page.locator("#verdict")).to_have_text(VERIFIED)
    assert failing < 0


@pytest.mark.parametrize("late", ["replay.js", "site.json"])
def test_a_file_of_the_page_that_never_arrives_is_said(
    page: Page, history: Live, late: str
) -> None:
    """Whether the page hears first that it does not arrive, or where the history is."""
    told = "Some of the page's files did not arrive. Load it again."
    where, verdict = page.locator("#where"), page.locator("#verdict")
    held: list[Route] = []
    released = False

    def answer(route: Route) -> None:
        if route.request.url.endswith(late) and not released:
            held.append(route)
        elif route.request.url.endswith("replay.js"):
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route(re.compile(r"(site\.json|replay\.js)$"), answer)
    with explorer(history, history.finished) as url:
        page.goto(url)
        if late == "site.json":
            expect(verdict).to_have_text(told)
        else:
            expect(where).to_contain_text("contract")
        released = True
        for route in held:
            answer(route)
        expect(where).to_contain_text("contract")
        expect(verdict).to_have_text(told)


def test_a_flipped_byte_turns_its_cell_red(page: Page, history: Live) -> None:
    update = revealed(history)[-1]
    spoil(history, update.reveal.update_digest)
    with explorer(history, history.finished) as url:
        page.goto(url)
        expect(page.locator("#verdict")).to_have_class("verdict bad")
        expect(page.locator("#timeline td.bad")).to_have_count(1)
        row = page.locator("#timeline tbody tr", has=page.locator("td.bad"))
        expect(row).to_contain_text(update.client[:8].lower())
        expect(row.locator("td").nth(update.round - 1)).to_have_class("bad")


def test_a_hidden_log_is_found(page: Page, history: Live) -> None:
    with proxy_to(history.url) as proxy:
        proxy.change("eth_getLogs", lambda found: found[:3] + found[4:])
        with explorer(history, history.finished, proxy.url) as url:
            page.goto(url)
            expect(page.locator("#verdict")).to_contain_text("A2")
            expect(page.locator("#verdict")).to_have_class("verdict bad")


def test_a_round_is_aggregated_again_and_an_update_hashed(page: Page, history: Live) -> None:
    with explorer(history, history.finished) as url:
        page.goto(url)
        expect(page.locator("#verdict")).to_have_text(VERIFIED)
        page.get_by_role("button", name="round 2").click()
        page.get_by_role("button", name="aggregate again").click()
        expect(page.locator("#again")).to_contain_text("✓ the same")
        page.get_by_role("button", name=re.compile("hash the update")).first.click()
        expect(page.locator("#round table .good").first).to_contain_text("with this digest")


def test_a_file_is_named(page: Page, history: Live, tmp_path: Path) -> None:
    update, stranger = revealed(history)[0], tmp_path / "other.bin"
    stranger.write_bytes(b"something else")
    with explorer(history, history.finished) as url:
        page.goto(url)
        expect(page.locator("#verdict")).to_have_text(VERIFIED)
        page.set_input_files("#file", history.place.store / key_of(update.reveal.update_digest))
        expect(page.locator("#dropped")).to_contain_text(
            f"The update of {update.client.lower()} in round 1."
        )
        page.set_input_files("#file", stranger)
        expect(page.locator("#dropped")).to_contain_text("Unknown to this history.")


def test_a_head_from_elsewhere_is_compared(page: Page, history: Live) -> None:
    head = history.ledger().task_state(history.finished).history_head.hex()
    with explorer(history, history.finished) as url:
        page.goto(url)
        expect(page.locator("#verdict")).to_have_text(VERIFIED)
        for text, answer in (
            (head, "The same"),
            ("ab" * 32, "Not of this history"),
            ("12", "64 hex"),
        ):
            page.fill("#head", text)
            expect(page.locator("#compared")).to_contain_text(answer)


def test_an_endpoint_that_refuses_for_now_is_said_and_asked_again(
    page: Page, history: Live
) -> None:
    with proxy_to(history.url) as proxy:
        proxy.refuse("eth_getBlockByNumber", "down for repairs", times=2)
        with explorer(history, history.finished, proxy.url) as url:
            page.goto(url)
            expect(page.locator("#away")).to_contain_text("down for repairs")
            expect(page.locator("#verdict")).to_have_text(VERIFIED)
            expect(page.locator("#away")).to_be_hidden()


@needs_axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_anybody_from_using_it(
    chromium: Browser, history: Live, scheme: Scheme
) -> None:
    with (
        explorer(history, history.finished) as url,
        tab(chromium, scheme=scheme) as opened,
    ):
        opened.goto(url)
        expect(opened.locator("#verdict")).to_have_text(VERIFIED)
        opened.get_by_role("button", name="round 1").click()
        assert_usable(opened)


def test_digests_of_final_models_stand_in_the_page(page: Page, history: Live) -> None:
    entries = history.ledger().history(history.finished)
    final = [entry.event for entry in entries if isinstance(entry.event, RoundFinalised)]
    with explorer(history, history.finished) as url:
        page.goto(url)
        expect(page.locator("#verdict")).to_have_text(VERIFIED)
        for event in final:
            page.get_by_role("button", name=f"round {event.round}").click()
            expect(page.locator("#round")).to_contain_text(event.aggregate_digest.hex())
