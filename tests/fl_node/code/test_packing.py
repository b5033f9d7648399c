"""Packing code: the same bytes everywhere, and nothing that was not meant for others."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from archives import wheel

from fl_node.blobs.digest import digest_of
from fl_node.code import blob
from fl_node.code.blob import read_code
from fl_node.code.packing import pack, pack_installed
from fl_node.errors import Misuse


def folder_of(where: Path, **files: str) -> Path:
    where.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = where / name.replace("__SLASH__", "/").replace("__DOT__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return where


def app(where: Path) -> Path:
    return folder_of(
        where,
        pyproject__DOT__toml="[x]",
        app__SLASH____init____DOT__py="",
        app__SLASH__task__DOT__py="x = 1\n",
    )


def test_a_file_is_its_own_blob(tmp_path: Path) -> None:
    (tmp_path / "chest.py").write_text("x = 1\n")
    assert pack(tmp_path / "chest.py") == b"x = 1\n"


def test_a_wheel_is_its_own_blob(tmp_path: Path) -> None:
    (tmp_path / "chest-1-py3-none-any.whl").write_bytes(wheel("py3-none-any"))
    assert read_code(pack(tmp_path / "chest-1-py3-none-any.whl")).kind == "wheel"


def test_a_folder_gives_the_same_bytes_wherever_it_lies(tmp_path: Path) -> None:
    one, other = app(tmp_path / "one"), app(tmp_path / "other" / "deeper")
    os.utime(other / "app" / "task.py", (1, 1))
    (other / "app" / "task.py").chmod(0o755)
    assert pack(one) == pack(other)
    assert list(read_code(pack(one)).files) == ["app/__init__.py", "app/task.py", "pyproject.toml"]


def test_these_are_the_bytes_of_a_folder(tmp_path: Path) -> None:
    digest = digest_of(pack(app(tmp_path / "one"))).hex()
    assert digest == "9d5ee4151fc3fd575dcc0d6a519d98f9e09cccc94658286e9ac5822ce469c592"


def test_hidden_files_caches_data_and_other_things_stay_out(tmp_path: Path) -> None:
    folder = app(tmp_path / "one")
    whole = pack(folder)
    folder_of(
        folder,
        __DOT__env="PASSWORD=1",
        __DOT__git__SLASH__config__DOT__py="",
        data__DOT__csv="1,2",
        key__DOT__pem="",
        app__SLASH____pycache____SLASH__task__DOT__py="",
        app__SLASH____DOT__secret__DOT__py="",
    )
    os.mkfifo(folder / "pipe")
    assert pack(folder) == whole


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "private.txt").write_text("my notes")
    folder = app(tmp_path / "one")
    (folder / "notes.txt").symlink_to(tmp_path / "private.txt")
    with pytest.raises(Misuse, match=r"notes\.txt is a link"):
        pack(folder)
    (folder / "notes.txt").unlink()
    (folder / "more").symlink_to(tmp_path)
    with pytest.raises(Misuse, match="more is a link"):
        pack(folder)


def test_a_pipe_with_the_name_of_code_is_refused(tmp_path: Path) -> None:
    folder = app(tmp_path / "one")
    os.mkfifo(folder / "pipe.py")
    with pytest.raises(Misuse, match="not a regular file"):
        pack(folder)


@pytest.mark.parametrize(
    ("name", "message"),
    [("missing.py", "No such file"), ("data.csv", "expected a .py file"), ("empty", "no Python files"),
     ("bad.py", "UTF-8"), ("bad.whl", "bad.whl: "), ("a\0b.py", "null")],
)  # fmt: skip
def test_what_is_no_code_is_refused_in_a_line(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "data.csv").write_text("1")
    (tmp_path / "bad.py").write_bytes(b"\xff")
    (tmp_path / "bad.whl").write_bytes(b"PK\x03\x04")
    (tmp_path / "empty").mkdir()
    with pytest.raises(Misuse, match=message):
        pack(tmp_path / name)


def test_a_folder_that_holds_an_environment_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("fl_node.code.packing.MAX_FILES", 2)
    with pytest.raises(Misuse, match="more than 2 files; is there an environment in it"):
        pack(app(tmp_path / "one"))


def test_too_much_code_is_refused(tmp_path: Path, monkeypatch) -> None:
    folder = app(tmp_path / "one")
    (folder / "big.py").write_text("#" * 1000)
    monkeypatch.setattr("fl_node.code.packing.MAX_CODE_BYTES", 999)
    with pytest.raises(Misuse, match="999"):
        pack(folder)


def test_names_that_members_would_refuse_are_refused_at_once(tmp_path: Path) -> None:
    folder = app(tmp_path / "one")
    (folder / "a\u202eyp.py").write_text("")
    with pytest.raises(Misuse, match="a file with the name"):
        pack(folder)


@pytest.fixture
def importable(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return tmp_path


def test_an_installed_package_is_packed_without_importing_it(importable: Path) -> None:
    folder_of(importable / "quickstart", __init____DOT__py="raise SystemExit", task__DOT__py="")
    code = read_code(pack_installed("quickstart.task"))
    assert list(code.files) == ["quickstart/__init__.py", "quickstart/task.py"]
    assert "quickstart" not in sys.modules


def test_an_installed_module_is_packed_as_a_file(importable: Path) -> None:
    (importable / "lone_chest.py").write_text("x = 2\n")
    assert pack_installed("lone_chest") == b"x = 2\n"


@pytest.mark.parametrize("module", ["no_such_module", "sys", "", "..", "__main__", "a b"])
def test_a_module_that_cannot_be_packed_is_refused(module: str) -> None:
    with pytest.raises(Misuse):
        pack_installed(module)


def test_the_bounds_of_packing_are_those_of_reading() -> None:
    assert blob.MAX_CODE_BYTES == 16 * 2**20
