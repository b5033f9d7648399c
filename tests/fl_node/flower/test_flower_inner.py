"""Flower's private parts are used in one file: what a new version of Flower may break stands there alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from pages import ROOT

PUBLIC = {"app", "clientapp", "clientapp.typing", "serverapp", "serverapp.strategy"}
ROOM = ROOT / "fl_node" / "flower"
INNER = ROOM / "inner.py"


def flower_modules(path: Path) -> set[str]:
    """The modules of Flower that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module))
    return {name.removeprefix("flwr.") for name in found if name.partition(".")[0] == "flwr"}


@pytest.mark.parametrize(
    "path", sorted(set(ROOM.glob("*.py")) - {INNER}), ids=lambda path: path.name
)
def test_a_file_imports_flower_s_public_modules_alone(path: Path) -> None:
    assert flower_modules(path) <= PUBLIC


def test_one_file_needs_more() -> None:
    assert flower_modules(INNER) - PUBLIC


def test_flower_stays_in_its_room() -> None:
    outside = set((ROOT / "fl_node").rglob("*.py")) - set(ROOM.glob("*.py"))
    assert [path for path in outside if flower_modules(path)] == []
