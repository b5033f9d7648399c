"""Every command and every option says what it is for."""

from __future__ import annotations

import pytest
from commanding import Ganchor
from typer.core import TyperCommand

from fl_node.cli.app import run
from fl_node.cli.commands import COMMANDS, GROUPS, Entry, Group, Listed

LEAVES = {tuple(entry.words.split()): Listed("", entry).imported() for entry in COMMANDS}
ALL = [(), *((group,) for group in GROUPS), *LEAVES]


def test_the_commands_are_those_of_the_specification() -> None:
    named = {" ".join(path) for path in LEAVES}
    expected = (
        "demo, devnet, deploy, key new, key address, manifest new, manifest check, code show, "
        "task open, check, node, relay, explore, "
        "status, tasks, log, advance, samples, "
        "export, receipt, weights, provenance, witness, "
        "audit, evaluate, extractor, simulate"
    )
    assert named == set(expected.split(", "))


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_each_command_has_a_help_text(ganchor: Ganchor, path: tuple[str, ...]) -> None:
    outcome = ganchor(*path, "--help")
    assert outcome.code == 0
    assert "Usage: " + " ".join(("ganchor", *path)) in outcome.out
    described = (
        LEAVES[path].callback.__doc__.split(".")[0]
        if path in LEAVES
        else GROUPS.get("".join(path), "")
    )
    assert described[:60] in outcome.out


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_each_option_has_a_help_text(path: tuple[str, ...]) -> None:
    for parameter in LEAVES[path].params:
        assert parameter.help, f"{' '.join(path)}: {parameter.name}"


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.words)
def test_the_list_says_what_the_command_itself_says(entry: Entry) -> None:
    assert (entry.load().__doc__ or "").startswith(entry.help.removesuffix("."))


def test_words_in_brackets_are_no_styles(ganchor: Ganchor) -> None:
    assert "ganchor[inception]" in ganchor("evaluate", "--help").out


def test_ctrl_c_is_one_line_and_130(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    group = Group(name="ganchor")
    group.add_command(TyperCommand("wait", callback=interrupted))
    with pytest.raises(SystemExit) as ended:
        run(lambda: group(["wait"], prog_name="ganchor"))
    assert ended.value.code == 130
    assert capsys.readouterr() == ("", "interrupted\n")
