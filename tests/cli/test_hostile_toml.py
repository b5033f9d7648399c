"""A manifest.toml of absurd numbers or nesting ends a command with one line, at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from commanding import MANIFEST, Ganchor

LINES = {
    "a huge exponent": "seed = 1e999999999",
    "a tiny exponent": "seed = 1e-999999999",
    "an exponent that no decimal has": "seed = 1e99999999999999999999",
    "5,000 digits": "seed = " + "9" * 5000,
    "deep lists": "seed = " + "[" * 60_000,
    "a key of many parts": "seed" + ".a" * 20_000 + " = 1",
    "control characters": 'seed = 5\n"\\u001b[2Jclean" = 1',
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_simulate_a_hostile_manifest(ganchor: Ganchor, line: str) -> None:
    Path("manifest.toml").write_text(MANIFEST.replace("seed = 5", line))
    outcome = ganchor("simulate", "manifest.toml", "--data", "digits")
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert len(outcome.err) < 1000
    assert "\x1b" not in outcome.err
