"""The README's first command, small: the whole loop, what it leaves behind, and a byte changed afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fl_node.cli.app import app, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def demo(*words: object) -> subprocess.CompletedProcess[str]:
    """In a process of its own, since it ends the processes that it starts."""
    command = [sys.executable, "-m", "fl_node.cli", "demo", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)


def audit(*words: object) -> object:
    """Run the audit's command in this process; its exit code."""
    with pytest.raises(SystemExit) as ended:
        run(lambda: app(["audit", *map(str, words)], prog_name="ganchor"))
    return ended.value.code


def tamper(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_the_demo_ends_with_a_clean_audit_that_a_changed_byte_spoils(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    place = tmp_path / "demo"
    done = demo("--nodes", 2, "--rounds", 1, "--workspace", place, "--json")
    assert done.returncode == 0, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert (summary["audit"], summary["rounds"]) == ("clean", 1)
    assert summary["workspace"] == str(place)

    left = {path.name for path in place.iterdir()}
    assert left >= {"chain.sqlite", "store", "nodes", "samples", "report.json", "audit.json"}
    assert [path.name for path in (place / "samples").iterdir()] == ["round-001.png"]
    (reported,) = json.loads((place / "report.json").read_text())["rounds"]
    assert reported["aggregate_digest"] == summary["final_digest"]
    assert reported["gas"] > 100_000

    head = summary["history_head"]
    assert done.stderr.splitlines()[-1] == f"history head {head}"
    for log in (place / "nodes").glob("*/log.jsonl"):
        finished = json.loads(log.read_text().splitlines()[-1])
        assert (finished["event"], finished["history_head"]) == ("finished", head)

    assert audit("--workspace", place, "--expect-head", head, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["history_head"] == head
    assert {step["status"] for step in said["steps"].values()} == {"clean"}

    client, digest = next(iter(reported["updates"].items()))
    tamper(place / "store" / digest[:2] / digest)
    assert audit("--workspace", place) == 1
    assert f"A5: round 1, client {client}, digest {digest}" in capsys.readouterr().out
