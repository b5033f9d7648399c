"""The page's modules run in node."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from asking import NODE, Page, opened_page


@pytest.fixture(scope="session")
def page() -> Iterator[Page]:
    if NODE is None:
        pytest.skip("node is not installed")
    with opened_page() as opened:
        yield opened
