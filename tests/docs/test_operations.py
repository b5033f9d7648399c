"""What docs/operations.md and the files of deploy/ say, held against the commands that they call."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from pages import DOCS, ROOT
from typer.core import TyperGroup

from chain.errors import ChainUnreachable
from fl_node.cli.app import app
from fl_node.cli.commands import Listed
from fl_node.cli.exits import INTERRUPTED, STOPPED
from fl_node.cli.node.display import Said, Serving, Started, Stopping, Training, Untracked
from fl_node.cli.node.machines import MachineDisplay
from fl_node.member.uplink import Slow

DEPLOY = ROOT / "deploy"
PAGE = (DOCS / "operations.md").read_text()
UNIT = (DEPLOY / "ganchor@.service").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
CONTAINERFILE = (DEPLOY / "Containerfile").read_text()


def assert_understood(words: list[str]) -> dict[str, Any]:
    """Parse a command's words, as `ganchor` would, and return its options; an unknown one is an error."""
    command: Any = app
    while isinstance(command, TyperGroup):
        name, *words = words
        command = command.commands[name]
    assert isinstance(command, Listed)
    parsed: dict[str, Any] = command.imported().make_context(command.name, words).params
    return parsed


def commands_of(service: dict[str, Any]) -> list[str]:
    """The commands of ganchor that a service runs: its own, or those in its shell script."""
    command = service["command"]
    if isinstance(command, str):
        return [command]
    (script,) = command
    return re.findall(r"ganchor ((?:[\w/${}.-]+ ?)+)", script)


def test_the_page_names_every_file() -> None:
    assert [path.name for path in DEPLOY.iterdir() if f"deploy/{path.name}" not in PAGE] == []


class TestUnit:
    def settings(self) -> dict[str, str]:
        lines = UNIT.replace("\\\n", "").splitlines()
        return dict(line.split("=", 1) for line in lines if re.match(r"\w+=", line))

    def test_it_runs_a_node_with_options_that_there_are(self) -> None:
        environment = dict(
            line.split("=", 1)
            for line in (DEPLOY / "node.env").read_text().splitlines()
            if re.match(r"\w+=", line)
        )
        words = shlex.split(self.settings()["ExecStart"])
        assert words.pop() == "$GANCHOR_OPTIONS"
        options = assert_understood([*words[1:], *shlex.split(environment["GANCHOR_OPTIONS"])])
        assert options["log_format"] == "json"
        assert options["metrics_port"] == 9464
        assert options["keystore"] == "%d/keystore"

    def test_it_knows_how_a_node_ends(self) -> None:
        assert self.settings()["SuccessExitStatus"] == str(STOPPED)
        assert f"{INTERRUPTED}, {STOPPED}" in PAGE

    @pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
    def test_systemd_understands_it(self, tmp_path: Path) -> None:
        unit = tmp_path / "ganchor@bob.service"
        unit.write_text(UNIT.replace("/opt/ganchor/bin/ganchor", shutil.which("true") or ""))
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")


class TestCompose:
    def test_every_command_has_options_that_there_are(self) -> None:
        found = [
            (name, assert_understood(shlex.split(command)))
            for name, service in COMPOSE["services"].items()
            for command in commands_of(service)
        ]
        assert [name for name, _ in found] == [
            *("chain", "contract", "task", "alice", "bob", "carol"),
        ]

    def test_each_member_has_a_key_a_state_and_a_port_of_its_own(self) -> None:
        nodes = [
            assert_understood(shlex.split(COMPOSE["services"][name]["command"]))
            for name in ("alice", "bob", "carol")
        ]
        for option in ("keystore", "state", "metrics_port"):
            assert len({node[option] for node in nodes}) == 3

    @pytest.mark.parametrize("name", ["alice", "bob", "carol"])
    def test_a_member_is_asked_for_its_own_health(self, name: str) -> None:
        service = COMPOSE["services"][name]
        port = assert_understood(shlex.split(service["command"]))["metrics_port"]
        assert f"127.0.0.1:{port}/healthz" in service["healthcheck"]["test"][-1]

    def test_nothing_leaves_and_nobody_is_root(self) -> None:
        assert COMPOSE["networks"]["inside"]["internal"] is True
        for name, service in COMPOSE["services"].items():
            assert service["user"] == "${ME}"
            assert service["cap_drop"] == ["ALL"]
            shared = service.get("network_mode"), service.get("networks")
            assert shared == ((None, ["inside"]) if name == "chain" else ("service:chain", None))


class TestContainerfile:
    def test_what_it_copies_is_there(self) -> None:
        copied = re.findall(r"^COPY (?!--from)(.+) \S+$", CONTAINERFILE, re.MULTILINE)
        names = [name for line in copied for name in line.split()]
        assert names
        assert [name for name in names if not (ROOT / name).exists()] == []

    def test_it_runs_as_nobody_in_particular(self) -> None:
        users = re.findall(r"^USER (\S+)$", CONTAINERFILE, re.MULTILINE)
        assert users and int(users[-1]) > 0

    def test_sigterm_reaches_the_node_itself(self) -> None:
        assert 'ENTRYPOINT ["ganchor"]' in CONTAINERFILE  # not a shell, which would keep it


SAID: list[Said] = [
    Serving("http://127.0.0.1:9464"),
    Started("0x11", 1, "digits"),
    Training(1, 2, {"loss": float("nan")}),
    ChainUnreachable("away"),
    Slow(14_300_000, 250_000.0, 30, early=True),
    Untracked("ConnectionError: refused"),
    Stopping(),
]


@pytest.mark.parametrize("said", SAID, ids=lambda said: type(said).__name__)
def test_the_page_names_an_event_with_all_that_is_in_it(
    said: Said, capsys: pytest.CaptureFixture[str]
) -> None:
    MachineDisplay(wall=lambda: 1_777_887_012.3454).show(said)
    entry = json.loads(capsys.readouterr().out)
    assert entry.pop("time") == "2026-05-04T09:30:12.345Z"
    (row,) = re.findall(rf"^\| `{entry.pop('event')}` \|.*", PAGE, re.MULTILINE)
    assert [name for name in entry if f"`{name}`" not in row] == []
