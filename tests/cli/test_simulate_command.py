"""`ganchor simulate`: what it shows, whose pictures it takes, and that a node with the same options takes the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from commanding import MANIFEST, MEMBERS, Ganchor
from PIL import Image
from terminal import on_terminal
from test_bad_input import assert_refused

from chain.accounts import address_of
from fl_node.cli.app import app
from fl_node.cli.parts import Part, data_of, own_part
from fl_node.errors import Misuse

FIRST, SECOND = (address_of(signer) for signer in MEMBERS)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "manifest.toml"
    path.write_text(MANIFEST)
    return path


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str]:
    """Two members' own pictures, all of them different."""
    random = np.random.default_rng(0)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for index in range(4):
            pixels = random.integers(0, 255, (32, 32), np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{index}.png")
    return f"folder:{tmp_path / 'one'}", f"folder:{tmp_path / 'two'}"


def digests(ganchor: Ganchor, *words: object) -> list[str]:
    outcome = ganchor("simulate", *words, "--device", "cpu", "--json")
    assert outcome.code == 0, outcome.err
    return list(json.loads(outcome.out)["rounds"])


def test_a_terminal_shows_every_rounds_whole_digest(
    ganchor: Ganchor, manifest: Path, folders: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["simulate", str(manifest), "--data", folders[0], "--device", "cpu"]

    def run() -> None:
        with pytest.raises(SystemExit):
            app(words, prog_name="ganchor")

    screen = on_terminal(monkeypatch, run, columns=80)
    expected = digests(ganchor, manifest, "--data", folders[0])
    assert [line for line in screen if line] == [
        f"round {number}: {digest}" for number, digest in enumerate(expected, start=1)
    ]


def test_a_pipe_gets_the_digests_alone(
    ganchor: Ganchor, manifest: Path, folders: tuple[str, str]
) -> None:
    outcome = ganchor("simulate", manifest, "--data", folders[0], "--device", "cpu")
    assert re.fullmatch(r"(round \d: [0-9a-f]{64}\n){2}", outcome.out)
    assert outcome.err == ""


def test_each_member_can_have_its_own_folder(
    ganchor: Ganchor, manifest: Path, folders: tuple[str, str]
) -> None:
    one, two = folders
    in_order = digests(ganchor, manifest, "--data", one, "--data", two)
    named = [f"--data={SECOND}={two}", f"--data={FIRST.lower()}={one}"]
    assert digests(ganchor, manifest, *named) == in_order
    assert digests(ganchor, manifest, "--data", two, "--data", one) != in_order


def test_own_folders_are_not_divided(
    ganchor: Ganchor, manifest: Path, folders: tuple[str, str]
) -> None:
    words = ["--data", folders[0], "--data", folders[1], "--partition", "iid"]
    assert_refused(ganchor("simulate", manifest, *words), "--partition needs one data set")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (["a", "b", "c"], "--data is given 3 times"),
        ([f"{FIRST}=a"], f"once for each of {FIRST}, {SECOND}"),
        ([f"{FIRST}=a", f"{FIRST}=b"], "once for each"),
        ([f"{FIRST}=a", "b"], "once for each"),
        ([f"{FIRST}=a", f"0x{1:040x}=b"], "once for each"),
    ],
)
def test_data_that_leaves_somebody_out_is_refused(given: list[str], reason: str) -> None:
    with pytest.raises(Misuse, match=reason):
        data_of(given, (FIRST, SECOND))


def test_without_a_partition_a_member_trains_on_all_of_its_data() -> None:
    assert own_part(None, None, FIRST, (FIRST, SECOND)) == Part("iid", 0, 1)
    with pytest.raises(Misuse, match="--part needs --partition"):
        own_part(None, "1/2", FIRST, (FIRST, SECOND))


def test_a_members_part_follows_its_position_and_not_its_name() -> None:
    members = (FIRST, SECOND)
    assert own_part("classes:1", None, SECOND, members) == Part("classes:1", 1, 2)
    assert own_part("classes:1", "1/2", SECOND, members) == Part("classes:1", 0, 2)
