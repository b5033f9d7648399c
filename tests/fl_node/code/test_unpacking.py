"""Unpacking code: under which names it lies, and for which machines it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from archives import wheel, zipped
from packaging.tags import sys_tags

from fl_node.code.blob import read_code
from fl_node.code.unpacking import unpack
from fl_node.errors import CodeRefused

FOREIGN = "cp39-cp39-manylinux_2_17_armv7l"


def files_in(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_file_takes_the_name_of_the_module(tmp_path: Path) -> None:
    unpack(read_code(b"x = 1\n"), tmp_path, "chest")
    assert files_in(tmp_path) == {"chest.py": "x = 1\n"}


@pytest.mark.parametrize("module", ["../chest", "a.b", "", "a/b", "chest\0"])
def test_a_file_cannot_be_a_module_elsewhere(tmp_path: Path, module: str) -> None:
    with pytest.raises(CodeRefused, match="a single file, which cannot be the module"):
        unpack(read_code(b"x = 1\n"), tmp_path / "inside", module)


def test_an_archive_keeps_its_names(tmp_path: Path) -> None:
    unpack(read_code(zipped({"app/task.py": "1", "pyproject.toml": "[x]"})), tmp_path, "app.task")
    assert files_in(tmp_path) == {"app/task.py": "1", "pyproject.toml": "[x]"}


@pytest.mark.parametrize("tag", ["py3-none-any", "py2.py3-none-any", str(next(sys_tags()))])
def test_a_wheel_for_this_machine_is_unpacked(tmp_path: Path, tag: str) -> None:
    unpack(read_code(wheel(FOREIGN, tag)), tmp_path, "chest")
    assert (tmp_path / "chest" / "__init__.py").exists()


@pytest.mark.parametrize(
    "tag", [FOREIGN, "py3-none-win_arm64", ".".join("abcdefghijkl") * 9 + "-a-b"]
)
def test_a_wheel_for_another_machine_is_refused_in_a_line(tmp_path: Path, tag: str) -> None:
    with pytest.raises(
        CodeRefused, match=f"a wheel built for .*; this machine is {next(sys_tags())}$"
    ):
        unpack(read_code(wheel(tag)), tmp_path, "chest")
    assert not list(tmp_path.iterdir())


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    content = zipped({"a.py": "x = 1\n" * 100}).replace(b"x = 1", b"x = 2")
    damaged = bytearray(content)
    damaged[40] ^= 255
    with pytest.raises(CodeRefused, match="damaged"):
        unpack(read_code(bytes(damaged)), tmp_path, "a")


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CodeRefused, match="cannot be unpacked"):
        unpack(read_code(b"x = 1\n"), tmp_path / "file" / "deeper", "chest")
