"""Every command and every option says what it is for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from commanding import Ganchor

from fl_node.cli.app import app


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """A command and all that lie under it, with the words that call them."""
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


ALL = dict(commands(typer.main.get_command(app)))
LEAVES = {path: command for path, command in ALL.items() if not hasattr(command, "commands")}


def test_the_commands_are_those_of_the_specification() -> None:
    named = {" ".join(path) for path in LEAVES}
    expected = (
        "demo, devnet, deploy, key new, key address, task open, node, status, audit, evaluate, "
        "extractor, simulate"
    )
    assert named == set(expected.split(", "))


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_each_command_has_a_help_text(ganchor: Ganchor, path: tuple[str, ...]) -> None:
    assert ALL[path].help
    outcome = ganchor(*path, "--help")
    assert outcome.code == 0
    assert "Usage: " + " ".join(("ganchor", *path)) in outcome.out


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_each_option_has_a_help_text(path: tuple[str, ...]) -> None:
    for parameter in LEAVES[path].params:
        assert parameter.help, f"{' '.join(path)}: {parameter.name}"
