"""Consent: a member runs only code that it has allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from fl_node.code.consent import read_allowed, verify_allowed
from fl_node.errors import CodeRefused, Misuse

ONE, OTHER = bytes(range(32)), bytes(32)


def allowed_in(folder: Path, text: str) -> Path:
    path = folder / "allowed.txt"
    path.write_text(text)
    return path


def test_a_file_names_a_digest_in_each_line(tmp_path: Path) -> None:
    text = f"# reviewed\n\n{ONE.hex()}  # chest.py\n 0x{OTHER.hex().upper()}\n"
    assert read_allowed(allowed_in(tmp_path, text)) == {ONE, OTHER}


def test_an_empty_file_allows_nothing(tmp_path: Path) -> None:
    assert read_allowed(allowed_in(tmp_path, "# nothing yet\n")) == frozenset()


@pytest.mark.parametrize("text", ["*", "all", ONE.hex()[1:], ONE.hex() + ONE.hex(), "chest.py"])
def test_a_line_that_is_no_digest_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(Misuse, match="is not the digest of code"):
        read_allowed(allowed_in(tmp_path, text))


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(Misuse):
            read_allowed(path)


def test_allowed_code_passes() -> None:
    verify_allowed(ONE, {ONE, OTHER})


@pytest.mark.parametrize("allowed", [frozenset(), frozenset({OTHER})])
def test_other_code_is_refused_with_what_to_do(allowed: frozenset[bytes]) -> None:
    name = ONE.hex()
    with pytest.raises(CodeRefused) as refusal:
        verify_allowed(ONE, allowed)
    assert f'read it with "ganchor code show {name}"' in str(refusal.value)
    assert f"--allow-code {name}" in str(refusal.value)
