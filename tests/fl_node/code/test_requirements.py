"""Requirements of a task's code."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from fl_node.code import requirements
from fl_node.code.requirements import installed, parse_requirement, required_names
from fl_node.errors import CodeRefused


def test_installed_versions_are_named_canonically_and_in_order() -> None:
    versions = installed(["pydantic>=2", "NumPy>=1", "scikit_learn"])
    assert list(versions) == ["numpy", "pydantic", "scikit-learn"]
    assert versions["numpy"] == version("numpy")


def test_names_are_known_without_looking() -> None:
    assert required_names(["Torch_Thing>=2", "numpy", "numpy<9"]) == ("numpy", "torch-thing")


def test_a_missing_library_is_named() -> None:
    with pytest.raises(CodeRefused, match="needs no-such-thing>=3, which is not installed"):
        installed(["numpy", "no-such-thing>=3"])


def test_another_version_is_named() -> None:
    with pytest.raises(CodeRefused, match=rf"needs numpy>=99; installed is '{version('numpy')}'"):
        installed(["numpy>=99"])


@pytest.mark.parametrize("found", ["2.6.0+cu124", "2.7.0a1"])
def test_local_and_early_versions_count(monkeypatch, found: str) -> None:
    monkeypatch.setattr(requirements, "version", lambda name: found)
    assert installed(["torch>=2.6"]) == {"torch": found}


@pytest.mark.parametrize("found", ["2.6+" + "a" * 64, "not a version", "2.6\x1b[2J"])
def test_a_version_that_no_header_could_hold_is_refused(monkeypatch, found: str) -> None:
    monkeypatch.setattr(requirements, "version", lambda name: found)
    with pytest.raises(CodeRefused) as refusal:
        installed(["torch>=2"])
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "torch>=",
        "torch[x]",
        "torch; python_version>'3'",
        "torch @ https://host/t.whl",
        "a b",
        "-r x",
    ],
)
def test_other_requirements_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="requirement"):
        parse_requirement(text)
