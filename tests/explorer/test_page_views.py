"""What the page shows of rounds, members and models, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import commanding
import numpy as np
import pytest
from browsing import assert_usable, explorer, needs_axe, needs_browser, tab
from commanding import MEMBERS, STRANGER, Live, finished_task
from doubles import STATING, StatingLearner
from playwright.sync_api import Browser, Page, expect

from chain.accounts import address_of
from chain.devnet import devnet_in_thread
from chain.types import RoundFinalised, UpdateRevealed
from fl_node.blobs.model import decode_model, encode_model
from fl_node.blobs.store import key_of
from fl_node.cli.workspace import Workspace
from fl_node.member import sources
from fl_node.round.aggregate import Aggregated, aggregate_round

pytestmark = [needs_browser, pytest.mark.slow]
VERIFIED = "Verified by this browser: 2 of 2 rounds"


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    with tab(chromium) as opened:
        yield opened


@contextmanager
def played(place: Workspace, **changes: Any) -> Iterator[Live]:
    """A finished task of two members and two rounds, on a chain that runs."""
    funded = [address_of(signer) for signer in (*MEMBERS, STRANGER)]
    with devnet_in_thread(place.database, fund=funded) as url:
        task = finished_task(url, place, rounds={"count": 2}, **changes)
        yield Live(url, place, task, task)


@pytest.fixture(scope="module")
def stating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A run whose updates state what their clients measured."""
    learner = partial(StatingLearner, held_out={"accuracy": 0.75, "kid": float("nan")})
    with ExitStack() as running:
        with pytest.MonkeyPatch.context() as patch:  # Over before another run is played.
            patch.setattr(commanding, "DriftingLearner", learner)
            place = Workspace(tmp_path_factory.mktemp("stating"))
            live = running.enter_context(played(place, learner=STATING))
        yield live


@pytest.fixture(scope="module")
def disputed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A run whose members all vote for models in which one number is moved."""

    def moved(*arguments: Any) -> Aggregated:
        made = aggregate_round(*arguments)
        state = {name: array.copy() for name, array in decode_model(made.blob).items()}
        state["generator.weight"][0, 1] = np.float32(0.5)
        return replace(made, blob=encode_model(state))

    with ExitStack() as running:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sources, "aggregate_round", moved)
            live = running.enter_context(played(Workspace(tmp_path_factory.mktemp("disputed"))))
        yield live


@contextmanager
def verified(page: Page, live: Live, verdict: str = VERIFIED) -> Iterator[None]:
    with explorer(live, live.finished) as url:
        page.goto(url)
        expect(page.locator("#verdict")).to_contain_text(verdict)
        yield


def test_a_round_shows_what_its_updates_are(page: Page, stating: Live) -> None:
    entries = stating.ledger().history(stating.finished)
    update = next(one.event for one in entries if isinstance(one.event, UpdateRevealed))
    size = (stating.place.store / key_of(update.reveal.update_digest)).stat().st_size
    with verified(page, stating):
        page.get_by_role("button", name="round 1").click()
        row = page.locator("#updates tbody tr", has_text=update.client[:8].lower())
        for told in (f"{size:,}", "float32", "0.75", "included"):
            expect(row).to_contain_text(told)
        cosine = row.locator("td").nth(4)
        expect(cosine).to_have_text("")
        page.get_by_role("button", name="aggregate again").click()
        expect(page.locator("#again")).to_contain_text("✓ the same")
        expect(cosine).not_to_have_text("")
        assert -1 <= float(cosine.inner_text()) <= 1
        expect(page.get_by_role("button", name="aggregate again")).to_be_focused()


def test_metrics_are_drawn_and_what_nobody_measured_is_not(page: Page, stating: Live) -> None:
    with verified(page, stating):
        told = "Mean of accuracy by round: accuracy 0.7500 to 0.7500"
        expect(page.get_by_role("img", name=told)).to_have_count(1)
        expect(page.locator("#curves svg")).to_have_count(2)  # losses and accuracy


def test_a_member_shows_its_rounds(page: Page, stating: Live) -> None:
    member = address_of(MEMBERS[1]).lower()
    with verified(page, stating):
        page.get_by_role("button", name=member[:8]).click()
        expect(page.locator("#member-title")).to_be_focused()
        expect(page.locator("#member dl")).to_contain_text(member)
        expect(page.locator("#member dl")).to_contain_text("included 2×")
        expect(page.locator("#member tbody tr")).to_have_count(2)


def test_a_model_is_followed_back_to_the_genesis(page: Page, stating: Live) -> None:
    entries = stating.ledger().history(stating.finished)
    final = [one.event for one in entries if isinstance(one.event, RoundFinalised)][-1]
    with verified(page, stating):
        page.set_input_files("#file", stating.place.store / key_of(final.aggregate_digest))
        page.get_by_text("Where it comes from: 2 rounds back").click()
        steps = page.locator("#origin li")
        expect(steps).to_have_count(3)
        expect(steps.first).to_contain_text("round 2, from the updates of")
        expect(steps.last).to_contain_text("the genesis")


def test_the_first_number_that_differs_is_named(page: Page, disputed: Live) -> None:
    with verified(page, disputed, "A7"):
        page.get_by_role("button", name="round 2").click()
        page.get_by_role("button", name="show the first tensor that differs").click()
        told = (
            "the first tensor that differs is generator.weight, element 1: recorded 0.5, recomputed"
        )
        expect(page.locator("#again")).to_contain_text(told)
        expect(page.locator("#again .bad")).to_have_count(1)


def test_a_phone_scrolls_tables_but_not_the_page(page: Page, stating: Live) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    with verified(page, stating):
        page.get_by_role("button", name="round 1").click()
        page.locator("#timeline tbody button").first.click()
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 360


@needs_axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_anybody_from_the_cards(page: Page, stating: Live, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    with verified(page, stating):
        page.get_by_role("button", name="round 1").click()
        page.get_by_text("Where it comes from").click()
        page.locator("#timeline tbody button").first.click()
        assert_usable(page)
