"""A real browser, headless, and the page in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal

import pytest
from commanding import Live
from playwright.sync_api import Browser, Page, expect, sync_playwright

from chain.connection import connect
from chain.serving import running_in_thread
from fl_node.blobs.reader import Reader
from fl_node.blobs.store import open_store
from fl_node.bundle.reading import read_bundle
from fl_node.explorer.serving import BundledSite, Site, run

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser")
CHROMIUM = next(filter(None, map(shutil.which, PROGRAMS)), None)
"""Best the one that has no window at all: it takes a third less time than the one that draws its own for nobody."""
AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
PATIENCE = 120_000
"""Milliseconds that a busy machine is given for what usually takes one second, by `expect` too."""
expect.set_options(timeout=PATIENCE)

Scheme = Literal["light", "dark"]

CI = bool(os.environ.get("CI"))

needs_browser = pytest.mark.skipif(
    not CHROMIUM and not CI,
    reason="needs Debian's chromium, `apt-get install chromium-headless-shell`",
)
needs_axe = pytest.mark.skipif(
    not AXE.exists() and not CI, reason="needs `npm install --prefix tests/explorer`"
)


@contextmanager
def browser() -> Iterator[Browser]:
    """Chromium without a window; root may not use its sandbox."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield opened
        finally:
            opened.close()


@contextmanager
def tab(
    chromium: Browser, *, width: int = 1280, scheme: Scheme = "light", bypass_csp: bool = True
) -> Iterator[Page]:
    """A fresh page, which fails the test if a script of it fails.

    Args:
        width: Of its window, in pixels.
        scheme: Which colours whoever looks at it prefers.
        bypass_csp: Whether a test's own scripts run in it, against the page's policy.
    """
    opened = chromium.new_page(
        bypass_csp=bypass_csp, color_scheme=scheme, viewport={"width": width, "height": 800}
    )
    faults: list[object] = []
    opened.on("pageerror", lambda fault: faults.append(fault))
    opened.set_default_timeout(PATIENCE)
    yield opened
    opened.close()
    assert not faults


def assert_usable(page: Page) -> None:
    """Nothing in the page keeps anybody from using it, as far as axe-core can tell."""
    page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run()")["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []


@contextmanager
def explorer(
    live: Live, task: int, rpc_url: str | None = None, witnesses: Sequence[str] = ()
) -> Iterator[str]:
    """The server of `ganchor explore`, in a thread; yields its URL.

    Args:
        rpc_url: Where it asks, if that is not the chain itself.
        witnesses: The keys that stand in the page when it opens.
    """
    ledger = live.ledger()
    site = Site(ledger.chain_id, ledger.contract, 0, task, witnesses=witnesses)
    store = open_store(live.place.store, must_exist=True)
    served = partial(run, site, connect(rpc_url or live.url), store, 0)
    with running_in_thread(served, "explorer-test") as url:
        yield url


@contextmanager
def bundle_explorer(
    path: Path, store: Reader | None = None, witnesses: Sequence[str] = ()
) -> Iterator[str]:
    """The server of `ganchor explore --bundle`, in a thread; yields its URL."""
    found = read_bundle(path)
    served = partial(run, BundledSite(found.record, witnesses), None, found.blobs or store, 0)
    with running_in_thread(served, "explorer-test") as url:
        yield url
