"""docs/own-model.md: a script, a learner, three members, a clean audit, by the page's own blocks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pages import DOCS
from walking import walk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PAGE = (DOCS / "own-model.md").read_text()


def test_a_stranger_has_the_script_on_the_devnet_audited(tmp_path: Path) -> None:
    printed = walk(PAGE, tmp_path)
    assert re.search(r"^accuracy [01]\.\d{3}$", printed, re.MULTILINE), "the script"
    assert "this was a dry run: nothing was sent" in printed
    assert re.search(r"measured +accuracy [01]\.\d+ \(round 3\)", printed)
