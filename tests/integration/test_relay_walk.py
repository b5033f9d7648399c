"""docs/relay.md: three members without ether, one relay, a clean audit, by the page's own blocks."""

from __future__ import annotations

import json
import re
from itertools import groupby
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
    # Who comes late is posted alone, so a phase may take several transactions.
    phases = [(name, [*group]) for name, group in groupby(posted, lambda one: one[1])]
    assert [name for name, _ in phases] == ["commit", "reveal", "attest"] * 2
    assert all(sum(int(count) for count, _ in group) >= 2 for _, group in phases)
    balances = re.findall(r'"result": "(0x[0-9a-f]+)"', printed)
    assert balances == ["0x0"] * 3
    spent = json.loads((tmp_path / "relay-book.json").read_text())["spent_today"]
    assert 0 < spent < 3_000_000
    assert "clean" in printed
