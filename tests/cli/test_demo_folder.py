"""The demo's folder: explained, gone after Ctrl-C, kept after an error, never somebody else's."""

from __future__ import annotations

from pathlib import Path

import pytest
from commanding import Ganchor
from test_bad_input import assert_refused

from fl_node.cli.demo.folder import new_folder
from fl_node.cli.workspace import Workspace
from fl_node.errors import Misuse


def test_every_file_is_explained(tmp_path: Path) -> None:
    place = Workspace(tmp_path / "demo")
    with new_folder(place, "seed = 1"):
        text = (place.folder / "README.txt").read_text()
        made = [*vars(place).values()]
    names = [path.name for path in made if path != place.folder]
    assert [name for name in names if f"\n{name}" not in text] == []
    assert "1386294 means 1.386294" in text
    assert place.manifest.read_text() == "seed = 1"


def test_an_interrupted_demo_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    place = Workspace(tmp_path / "demo")
    with pytest.raises(KeyboardInterrupt), new_folder(place, ""):
        raise KeyboardInterrupt
    assert not place.folder.exists()


def test_a_demo_that_fails_keeps_its_logs(tmp_path: Path) -> None:
    place = Workspace(tmp_path / "demo")
    with pytest.raises(Misuse), new_folder(place, ""):
        raise Misuse("a node stopped")
    assert place.manifest.exists()


def test_somebody_elses_folder_is_neither_used_nor_removed(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "thesis.txt").write_text("precious")
    with pytest.raises(Misuse, match="not empty"), new_folder(Workspace(tmp_path / "demo"), ""):
        raise AssertionError("unreachable")
    assert (tmp_path / "demo" / "thesis.txt").read_text() == "precious"


@pytest.mark.parametrize("data", ["folder:nowhere", "imagenet"])
def test_a_mistyped_demo_makes_no_folder(ganchor: Ganchor, tmp_path: Path, data: str) -> None:
    assert_refused(ganchor("demo", "--data", data, "--workspace", "demo"), "")
    assert not (tmp_path / "demo").exists()
    assert not (tmp_path / "ganchor-workspace").exists()
