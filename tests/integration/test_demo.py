"""The README's first command, small: the whole loop, what it leaves behind, and a byte changed afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

from fl_node.cli.app import app, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@contextmanager
def demo(*words: object) -> Iterator[subprocess.Popen[str]]:
    """In a process of its own, since it ends the processes that it starts."""
    command = [sys.executable, "-m", "fl_node.cli", "demo", *map(str, words)]
    with subprocess.Popen(command, stdout=PIPE, stderr=PIPE, text=True) as running:
        yield running
        running.terminate()


def fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        found: bytes = answer.read()
        return found


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
    with demo("--nodes", 2, "--rounds", 1, "--workspace", place, "--json", "--explore") as running:
        assert running.stdout and running.stderr
        summary: dict[str, Any] = json.loads(running.stdout.readline() or running.stderr.read())
        url = running.stdout.readline().strip()
        assert json.loads(fetched(f"{url}/site.json"))["pictures"] == [1]
        assert fetched(f"{url}/pictures/1") == (place / "samples" / "round-001.png").read_bytes()
        running.terminate()
        said_last = running.stderr.read().splitlines()[-2:]
        assert running.wait() == 0
    assert (summary["audit"], summary["rounds"]) == ("clean", 1)
    assert summary["workspace"] == str(place)

    left = {path.name for path in place.iterdir()}
    assert left >= {"chain.sqlite", "store", "nodes", "samples", "report.json", "audit.json"}
    assert [path.name for path in (place / "samples").iterdir()] == ["round-001.png"]
    (reported,) = json.loads((place / "report.json").read_text())["rounds"]
    assert reported["aggregate_digest"] == summary["final_digest"]
    assert reported["gas"] > 100_000

    head = summary["history_head"]
    assert said_last[0] == f"history head {head}"
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
