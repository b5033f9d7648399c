"""docs/relay.md: three members without ether, one relay, a clean audit, by the page's own blocks."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pages import DOCS
from ports import free_port
from walking import walk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PAGE = (DOCS / "relay.md").read_text()


def test_three_members_without_ether_are_audited(tmp_path: Path) -> None:
    printed = walk(PAGE.replace("8547", str(free_port())), tmp_path)
    posted = re.findall(r"posted (\d) (commit|reveal|attest)", printed)
    assert [function for _, function in posted] == ["commit", "reveal", "attest"] * 2
    assert all(int(count) >= 2 for count, _ in posted)
    balances = re.findall(r'"result": "(0x[0-9a-f]+)"', printed)
    assert balances == ["0x0"] * 3
    spent = json.loads((tmp_path / "relay-book.json").read_text())["spent_today"]
    assert 0 < spent < 3_000_000
    assert "clean" in printed
