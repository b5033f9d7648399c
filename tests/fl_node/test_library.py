"""`import fl_node`: the library's names, typed, documented, and imported only when they are used."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import import_module

import pytest
from pages import DOCS, ROOT

import fl_node

SOURCE = ROOT / "fl_node" / "__init__.py"


def typed_names() -> dict[str, str]:
    """What type checkers see: name to module."""
    tree = ast.parse(SOURCE.read_text())
    checked = next(node for node in tree.body if isinstance(node, ast.If))
    return {
        alias.name: str(node.module)
        for node in checked.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@pytest.mark.parametrize("name", fl_node.__all__)
def test_a_name_is_what_its_module_defines(name: str) -> None:
    assert getattr(fl_node, name) is getattr(import_module(typed_names()[name]), name)


def test_type_checkers_see_the_same_names() -> None:
    assert sorted(typed_names()) == sorted(fl_node.__all__)


def test_every_name_has_a_line_on_the_page() -> None:
    page = (DOCS / "library.md").read_text().split("## The names")[1]
    listed = re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| (.*?) \|", page, re.MULTILINE)))
    assert sorted(listed) == sorted(fl_node.__all__)


def test_names_are_listed_to_whoever_explores() -> None:
    assert set(fl_node.__all__) <= set(dir(fl_node))


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="'fl_node' has no attribute 'simulat'"):
        fl_node.simulat  # noqa: B018


def test_importing_it_imports_nothing_else() -> None:
    program = (
        "import sys; import fl_node; "
        "print(sorted(name for name in sys.modules if name.startswith(('fl_node.', 'chain', "
        "'numpy', 'torch', 'pydantic', 'web3'))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"
