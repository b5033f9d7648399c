"""The page's modules run in node, and the page in a browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from asking import NODE, Page, opened_page
from browsing import browser
from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def page() -> Iterator[Page]:
    if NODE is None:
        pytest.skip("node is not installed")
    with opened_page() as opened:
        yield opened


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser, which the module's tests share."""
    with browser() as opened:
        yield opened
