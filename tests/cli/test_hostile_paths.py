"""Whatever lies where an option names a file: one line on standard error, at once, and exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest
from commanding import MANIFEST, Ganchor, Live
from planting import PLANTS, Plant, plant_at

COMMANDS = {
    "deployment": ["status", "--deployment", "FILE"],
    "report": ["audit", "--report", "FILE"],
    "keystore": ["key", "address", "FILE"],
    "password": ["key", "new", "key.json", "--password-file", "FILE"],
    "manifest": ["simulate", "FILE"],
    "manifest to open": ["task", "open", "FILE"],
    "model": ["evaluate", "--manifest", "manifest.toml", "--model", "FILE", "--data", "digits"],
}


@pytest.mark.parametrize("what", COMMANDS)
@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.timeout(120)
def test_a_file_that_is_none(
    ganchor: Ganchor,
    live: Live,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    plant: Plant,
) -> None:
    monkeypatch.setenv("GANCHOR_PASSWORD", "x")
    (tmp_path / "manifest.toml").write_text(MANIFEST)
    plant_at(tmp_path / "planted", plant)
    words = ["planted" if word == "FILE" else word for word in COMMANDS[what]]
    options = live.options if what == "report" else []
    outcome = ganchor(*words, *options)
    assert (outcome.code, outcome.out) == (2, ""), outcome
    assert outcome.err.startswith("error: ") and "planted" in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "key.json").exists()
