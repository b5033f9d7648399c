"""What an app's pyproject.toml says, and how knobs and a node's configuration are laid over it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pages import ROOT

from fl_node.errors import CodeRefused
from fl_node.flower.app import Project, parse_node_config, parse_project, project_of, run_config

TOML = """
[project]
name = "quickstart"

[tool.flwr.app.components]
serverapp = "quickstart.server_app:app"
clientapp = "quickstart.client_app:app"

[tool.flwr.app.config]
local-epochs = 1
learning-rate = 0.1
shuffle = true
name = "quick"
optimiser.momentum = 0.9
"""
CONFIG = {
    "local-epochs": 1,
    "learning-rate": 0.1,
    "shuffle": True,
    "name": "quick",
    "optimiser.momentum": 0.9,
}


def test_a_project_names_its_client_app_and_its_configuration() -> None:
    assert parse_project(TOML) == Project("quickstart.client_app:app", CONFIG)


def test_a_project_may_say_nothing_of_flower() -> None:
    assert parse_project("[project]\nname = 'x'") == Project()


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "tool = 3",
        "[tool.flwr.app]\nconfig = 3",
        "[tool.flwr.app.components]\nclientapp = 3",
        "[tool.flwr.app.config]\nlayers = [1, 2]",
        "[tool.flwr.app.config]\nday = 1979-05-27",
        "x = " + "[" * 5000,
        "[tool.flwr.app.components]\nclientapp = 0x" + "f" * 5000,
        '[tool.flwr.app.config]\n"\\u001b[2J\\n" = []',
        "[tool.flwr.app.config]\nlayers = 0x" + "f" * 5000,
    ],
)
def test_a_project_that_cannot_be_read_is_one_line(text: str) -> None:
    with pytest.raises(CodeRefused) as refusal:
        parse_project(text)
    assert str(refusal.value).isprintable()


def test_knobs_replace_values_of_the_app_and_add_to_them() -> None:
    knobs = {"local-epochs": 3, "learning-rate": "0.05", "lr": "1", "optimiser": {"momentum": 1}}

    assert run_config(parse_project(TOML), knobs) == CONFIG | {
        "local-epochs": 3,
        "learning-rate": 0.05,
        "lr": 1.0,
        "optimiser.momentum": 1.0,
    }


def test_text_of_the_app_stays_text() -> None:
    assert run_config(Project(config={"version": "1.0"}), {"version": "1.5"}) == {"version": "1.5"}


@pytest.mark.parametrize(
    "knobs", [{"local-epochs": "many"}, {"shuffle": 1}, {"local-epochs": "2"}, {"name": 3}]
)
def test_a_knob_of_another_type_is_refused(knobs: dict[str, Any]) -> None:
    with pytest.raises(CodeRefused, match=f"knob {next(iter(knobs))}: the app has"):
        run_config(parse_project(TOML), knobs)


def test_a_knob_is_a_plain_value() -> None:
    with pytest.raises(CodeRefused, match="layers: a Flower app's values are text"):
        run_config(Project(), {"layers": [1, 2]})


@pytest.mark.parametrize(
    ("text", "config"),
    [
        ("", {}),
        ("partition-id=0 num-partitions=3", {"partition-id": 0, "num-partitions": 3}),
        ("a=-1.5 b=true c=false d=x=y", {"a": -1.5, "b": True, "c": False, "d": "x=y"}),
        ("site='Ward 7' path=\"/data/a b\"", {"site": "Ward 7", "path": "/data/a b"}),
        ("long=123456789012345678901234567890", {"long": "123456789012345678901234567890"}),
    ],
)
def test_a_node_s_configuration(text: str, config: dict[str, Any]) -> None:
    assert parse_node_config(text) == config


@pytest.mark.parametrize("text", ["alone", "=3", "a=1 a=2", "a='open", "a=" + "1" * 10_000])
def test_a_node_s_configuration_that_cannot_be_read_is_one_line(text: str) -> None:
    with pytest.raises(CodeRefused, match=r"^--node-config: ") as refusal:
        parse_node_config(text)
    assert "\n" not in str(refusal.value)


def test_the_project_stands_beside_the_app_s_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package" / "__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "own_module.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)

    assert project_of("own_package.client_app:app") == Project()
    (tmp_path / "pyproject.toml").write_text(TOML)
    assert project_of("own_package.client_app:app").config == CONFIG
    assert project_of("own_module:app").config == CONFIG
    assert project_of("no_such_module:app") == Project()


def test_an_app_s_folder_is_read_without_flower() -> None:
    program = (
        "import sys; sys.modules['flwr'] = None; import fl_node.flower.app, fl_node.flower.open"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
