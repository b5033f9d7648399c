"""What grows with a task's history: a node's start and its steps, `status`, and the audit.

A history of 10 members is played on the in-memory ledger and served over JSON-RPC; blobs are tiny, so that what takes
time is the log. "First" is without what an earlier run has kept.

    uv run scripts/bench/history.py [--rounds 10 100 1000] [--members 10] [--json]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from long_history import Endpoint, LongHistory, SmallLearner, play_round, played, served
from rich.console import Console
from rich.table import Table

from chain.artifact import load_artifact
from chain.deploy import Deployment, write_deployment
from chain.memory_ledger import MemoryLedger
from chain.web3_ledger import Web3Ledger
from fl_node.audit import audit
from fl_node.blobs.store import open_store
from fl_node.cli.status import status
from fl_node.member.joining import load_manifest
from fl_node.member.participant import Participant
from fl_node.member.state import Membership, NodeState

MEGABYTE = 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, nargs="*", default=[10, 100, 1000])
    parser.add_argument("--members", type=int, default=10)
    parser.add_argument("--audit", nargs=2, metavar=("FOLDER", "URL"), help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.audit:
        print(json.dumps(audited(Path(options.audit[0]), options.audit[1])))
        return
    columns = []
    for rounds in options.rounds:
        with tempfile.TemporaryDirectory(dir=options_folder()) as folder:
            os.environ["GANCHOR_CACHE"] = f"{folder}/cache"
            columns.append(measure(played(Path(folder), options.members, rounds), Path(folder)))
    table = Table(title=f"A history of {options.members} members")
    for heading in ("", *(f"{rounds} rounds" for rounds in options.rounds)):
        table.add_column(heading, justify="right")
    for name in columns[0]:
        table.add_row(name.replace("_", " "), *(f"{column[name]:g}" for column in columns))
    Console(stderr=options.json).print(table)
    if options.json:
        print(json.dumps(dict(zip(map(str, options.rounds), columns, strict=True))))


def options_folder() -> str | None:
    """A folder in memory, if there is one: the disk is not what is measured."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


class Remote:
    """Reads from the endpoint, as a node does, and calls the ledger behind it."""

    def __init__(self, reads: Web3Ledger, calls: MemoryLedger) -> None:
        self._reads = reads
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        calls = {"account", "commit", "reveal", "attest", "advance", "rejoin", "skip"}
        return getattr(self._calls if name in calls else self._reads, name)


@contextmanager
def timed(result: dict[str, float], endpoint: Endpoint, name: str) -> Iterator[None]:
    """Add seconds, requests, and megabytes that the endpoint sent."""
    before = endpoint.requests, endpoint.sent, time.perf_counter()
    yield
    seconds = time.perf_counter() - before[2]
    for unit, more in (
        ("seconds", seconds),
        ("requests", endpoint.requests - before[0]),
        ("megabytes", (endpoint.sent - before[1]) / MEGABYTE),
    ):
        result[f"{name}_{unit}"] = round(result.get(f"{name}_{unit}", 0) + more, 3)


def measure(history: LongHistory, folder: Path) -> dict[str, float]:
    """Start a node for two rounds, the second time with what it has kept; then look, and audit."""
    result: dict[str, float] = {"entries": len(history.ledger._chain.entries)}
    with served(history.ledger, history.task) as endpoint:
        for time_ in ("first_start", "start"):
            with timed(result, endpoint, time_):
                node = started(history, folder, endpoint.url)
            name = "first_round" if time_ == "first_start" else "round"

            def step(node: Participant = node, name: str = name) -> None:
                with timed(result, endpoint, name):
                    node.step()

            play_round(history, step)
        deployment = folder / "deployment.json"
        digest = load_artifact().digest.hex()
        place = Deployment(history.ledger.chain_id, history.ledger.contract, 0, digest)
        write_deployment(deployment, place)
        for name in ("first_status", "status"):
            with timed(result, endpoint, name), contextlib.redirect_stdout(io.StringIO()):
                store = str(folder / "store")
                status(history.task, store, endpoint.url, deployment, as_json=True)
        with timed(result, endpoint, "audit"):
            command = [sys.executable, __file__, "--audit", str(folder), endpoint.url]
            said = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        result |= json.loads(said)
    return result


def started(history: LongHistory, folder: Path, url: str) -> Participant:
    """Start the first member's node, as the command does."""
    account = history.manifest.addresses[0]
    reads = Web3Ledger(url, history.ledger.contract)
    ledger: Any = Remote(reads, history.ledger.acting_as(account))
    manifest = load_manifest(ledger, history.store, history.task)
    membership = Membership(ledger.chain_id, ledger.contract, history.task, account)
    state = NodeState(folder / "node", membership)
    state.close()
    return Participant(ledger, history.store, SmallLearner(0), history.task, manifest, state)


def audited(folder: Path, url: str) -> dict[str, float]:
    """Audit in a process of its own; seconds, and megabytes of memory above those of the imports."""
    before = most_memory()
    began = time.perf_counter()
    store = open_store(str(folder / "store"))
    report = audit(lambda: Web3Ledger(url, MemoryLedger().contract), store, 1)
    if report.findings:
        raise SystemExit(f"the history is not clean: {report.findings[0]}")
    return {
        "audit_seconds": round(time.perf_counter() - began, 3),
        "audit_memory_megabytes": round((most_memory() - before) / MEGABYTE, 1),
    }


def most_memory() -> int:
    """The most bytes that this process has had in memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
