"""Files that somebody else may have put there: regular ones alone, bounded, and one clear error."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from planting import PLANTS, Plant, link_to_nowhere, pipe, terabyte

from chain.errors import FileUnusable
from chain.files import MAX_JSON_BRACKETS, map_file, read_file, read_json, read_text, write_whole

READERS = [read_file, read_text, read_json, map_file]
Read = Callable[[Path, int], Any]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.timeout(60)
def test_what_is_no_file_is_refused_at_once(path: Path, plant: Plant, read: Read) -> None:
    plant(path)
    with pytest.raises(FileUnusable, match=str(path)):
        read(path, 1000)


@pytest.mark.parametrize(
    ("plant", "reason"),
    [
        (pipe, "not a regular file"),
        (link_to_nowhere, "No such file or directory"),
        (terabyte, "has 1099511627776 bytes, at most 1000 are allowed"),
    ],
)
def test_the_error_says_why(path: Path, plant: Plant, reason: str) -> None:
    plant(path)
    with pytest.raises(FileUnusable, match=reason):
        read_file(path, 1000)


@pytest.mark.parametrize("read", [read_file, map_file])
def test_a_file_may_be_as_long_as_allowed_and_not_longer(path: Path, read: Read) -> None:
    path.write_bytes(b"12345")
    assert bytes(read(path, 5)) == b"12345"
    with pytest.raises(FileUnusable, match="has 5 bytes, at most 4 are allowed"):
        read(path, 4)


@pytest.mark.parametrize("read", [read_file, map_file])
def test_a_file_may_be_empty(path: Path, read: Read) -> None:
    path.touch()
    assert bytes(read(path, 0)) == b""


def test_a_link_to_a_file_is_followed(path: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"x")
    path.symlink_to("elsewhere")
    assert read_file(path, 10) == b"x"


def test_a_file_that_claims_to_be_empty_and_is_not_is_bounded_too() -> None:
    """Files of /proc say that they have no bytes."""
    with pytest.raises(FileUnusable, match="at most 4 are allowed"):
        read_file(Path("/proc/self/maps"), 4)


def test_mapped_memory_cannot_be_written_to(path: Path) -> None:
    path.write_bytes(b"x")
    assert map_file(path, 1).readonly


def test_text_is_utf_8(path: Path) -> None:
    path.write_bytes("größer".encode())
    assert read_text(path, 10) == "größer"
    path.write_bytes(b"\xff")
    with pytest.raises(FileUnusable, match="not UTF-8"):
        read_text(path, 10)


def test_a_name_with_a_null_byte_is_refused() -> None:
    with pytest.raises(FileUnusable, match="null byte"):
        read_file(Path("a\0b"), 10)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 60_000, b'{"a":' * 10_000])
def test_what_is_no_json_or_nested_without_end_is_a_value_error(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ValueError):
        read_json(path, 1 << 16)


def test_json_may_have_so_many_brackets(path: Path) -> None:
    path.write_text("[" * MAX_JSON_BRACKETS + "]" * MAX_JSON_BRACKETS)
    assert isinstance(read_json(path, 1000), list)
    path.write_text("[" * (MAX_JSON_BRACKETS + 1) + "]" * (MAX_JSON_BRACKETS + 1))
    with pytest.raises(ValueError, match="brackets"):
        read_json(path, 1000)


def test_a_draft_that_somebody_linked_elsewhere_is_not_written_through(
    path: Path, tmp_path: Path
) -> None:
    (tmp_path / "precious").write_text("precious")
    path.with_name(f".file.{os.getpid()}").symlink_to("precious")
    with pytest.raises(FileUnusable, match="cannot be written"):
        write_whole(path, b"x")
    assert (tmp_path / "precious").read_text() == "precious"
    assert not path.exists()
