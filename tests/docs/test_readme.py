"""The first page: short, honest on the first screen, and its pictures are those that the code draws today."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from pages import DOCS, README, ROOT

from fl_node.strategy.presets import PRESETS

LINES = README.splitlines()
FIRST_SCREEN = " ".join(" ".join(LINES[:45]).split())
PICTURES = sorted((DOCS / "pictures").iterdir())


def test_it_is_shorter_than_150_lines():
    assert len(LINES) < 150


def test_the_two_commands_come_first():
    top = "\n".join(LINES[:10])
    assert "pip install uv && uv run ganchor demo" in top
    assert "pip install uv && uv run pytest" in top


@pytest.mark.parametrize(
    "limit",
    ["does not encrypt updates", "updates can leak training data", "trusts a majority, for now"],
)
def test_what_it_does_not_do_is_on_the_first_screen(limit: str):
    assert limit in FIRST_SCREEN


def test_the_number_of_presets_is_right():
    assert f"\n{len(PRESETS)} presets" in README


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_picture_is_small(path):
    assert path.stat().st_size < 150_000


def test_the_demos_tables_are_what_the_code_draws():
    script = ROOT / "scripts/draw_pictures.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "path", [path for path in PICTURES if path.suffix == ".svg"], ids=lambda path: path.name
)
def test_a_drawing_loads_nothing_from_elsewhere(path):
    assert not re.search(r"href=|url\(['\"]?http|@import", path.read_text())
