"""docs/flower.md: a Flower app in which nothing is changed, three nodes, no server, a clean audit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("flwr")

from pages import DOCS
from walking import walk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PAGE = (DOCS / "flower.md").read_text().split("### The whole walk")[1].split("\n### ")[0]


def test_a_stranger_has_a_flower_app_on_the_devnet_audited(tmp_path: Path) -> None:
    (tmp_path / "docs").symlink_to(DOCS)
    folder = tmp_path / "mine"
    folder.mkdir()
    printed = walk(PAGE, folder)
    assert re.search(r"measured +eval_acc 0\.\d+ \(round 2\)", printed)
