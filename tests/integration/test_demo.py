"""The README's first command, small: the whole loop, what it leaves behind, and a byte changed afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow


def ganchor(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fl_node.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)


def tamper(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_the_demo_ends_with_a_clean_audit_that_a_changed_byte_spoils(tmp_path: Path) -> None:
    place = tmp_path / "demo"
    run = ganchor("demo", "--nodes", 2, "--rounds", 1, "--workspace", place, "--json")
    assert run.returncode == 0, run.stderr
    summary: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    assert (summary["audit"], summary["rounds"]) == ("clean", 1)
    assert summary["workspace"] == str(place)

    left = {path.name for path in place.iterdir()}
    assert left >= {"chain.sqlite", "store", "nodes", "samples", "report.json", "audit.json"}
    assert [path.name for path in (place / "samples").iterdir()] == ["round-001.png"]
    (reported,) = json.loads((place / "report.json").read_text())["rounds"]
    assert reported["aggregate_digest"] == summary["final_digest"]
    assert reported["gas"] > 100_000

    head = summary["history_head"]
    assert run.stderr.splitlines()[-1] == f"history head {head}"
    for log in (place / "nodes").glob("*/log.jsonl"):
        finished = json.loads(log.read_text().splitlines()[-1])
        assert (finished["event"], finished["history_head"]) == ("finished", head)

    again = ganchor("audit", "--workspace", place, "--expect-head", head, "--json")
    assert again.returncode == 0, again.stderr
    said = json.loads(again.stdout)
    assert said["history_head"] == head
    assert {step["status"] for step in said["steps"].values()} == {"clean"}

    client, digest = next(iter(reported["updates"].items()))
    tamper(place / "store" / digest[:2] / digest)
    spoilt = ganchor("audit", "--workspace", place)
    assert spoilt.returncode == 1, spoilt.stderr
    assert f"A5: round 1, client {client}, digest {digest}" in spoilt.stdout
