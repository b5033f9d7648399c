"""The committed artifact: complete, of these sources, and what the compiler gives again."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path

import pytest

from chain import compile as compiling
from chain.artifact import ARTIFACT, load_artifact
from chain.compile import SETTINGS, compile_contracts
from chain.errors import CompilerUnusable

ROOT = Path(__file__).parents[2]


def test_the_file_is_in_its_one_form() -> None:
    artifact = load_artifact()
    assert ARTIFACT.read_bytes() == artifact.to_bytes()
    assert artifact.digest == hashlib.sha256(ARTIFACT.read_bytes()).digest()


def test_it_was_compiled_from_these_sources_with_these_settings() -> None:
    artifact = load_artifact()
    for path in (ROOT / "contracts").glob("*.sol"):
        recorded = artifact.sources[f"contracts/{path.name}"]
        assert recorded == hashlib.sha256(path.read_bytes()).hexdigest()
    assert artifact.settings == SETTINGS


def test_foundry_is_told_the_same() -> None:
    """forge is not there to be asked; with these settings it gave the committed bytecode."""
    foundry = tomllib.loads((ROOT / "foundry.toml").read_text())["profile"]["default"]
    packages = json.loads((ROOT / "package.json").read_text())["dependencies"]
    assert foundry == {
        "src": "contracts",
        "solc": packages["solc"],
        "evm_version": SETTINGS["evmVersion"],
        "optimizer": SETTINGS["optimizer"]["enabled"],
        "optimizer_runs": SETTINGS["optimizer"]["runs"],
        "via_ir": SETTINGS["viaIR"],
        "libs": [],
        "auto_detect_remappings": False,
    }
    assert SETTINGS.keys() == {"evmVersion", "optimizer", "viaIR", "outputSelection"}
    assert load_artifact().compiler.startswith(packages["solc"] + "+")


@pytest.mark.slow
def test_compiling_again_gives_the_same_artifact() -> None:
    assert compile_contracts(ROOT) == load_artifact()


def test_a_folder_without_the_sources_is_named(tmp_path: Path) -> None:
    with pytest.raises(CompilerUnusable, match=str(tmp_path)):
        compile_contracts(tmp_path)


def test_a_missing_npm_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling.platformdirs, "user_cache_path", lambda _: tmp_path / "cache")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CompilerUnusable, match="npm is not installed"):
        compile_contracts(ROOT)
    assert list((tmp_path / "cache").rglob("package.json")) == []


@pytest.mark.slow
def test_an_error_in_a_contract_is_shown(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_bytes((ROOT / "package.json").read_bytes())
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts" / "TrainingLedger.sol").write_text("contract TrainingLedger {")
    with pytest.raises(CompilerUnusable, match="ParserError"):
        compile_contracts(tmp_path)
