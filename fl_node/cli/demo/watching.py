"""What the demo shows while the nodes work: a bar for the rounds, and one for each node's training."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from chain.ledger import Ledger
from chain.types import Phase
from fl_node.cli.demo.processes import POLL_SECONDS, DemoFailed, Node
from fl_node.cli.words import short
from fl_node.manifest.manifest import Manifest


def watch(
    ledger: Ledger, task: int, manifest: Manifest, nodes: Sequence[Node], console: Console
) -> None:
    """Show the progress of all nodes until the task is finished.

    Raises:
        DemoFailed: A node ended too early.
    """
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[doing]}"),
        TimeElapsedColumn(),
        console=console,
    )
    with bars:
        rounds = bars.add_task("rounds", total=manifest.rounds.count, doing="")
        lines = {
            node.address: bars.add_task(f"node {short(node.address)}", total=None, doing="starting")
            for node in nodes
        }
        while True:
            state = ledger.task_state(task)
            finished = state.phase is Phase.FINISHED
            done = manifest.rounds.count if finished else state.round - 1
            bars.update(rounds, completed=done, doing=f"{done} final, {state.phase.name.lower()}")
            for node in nodes:
                _show(bars, lines[node.address], last_line(node.log))
            ended = [node.process.poll() for node in nodes]
            if finished and None not in ended:
                return
            for node, code in zip(nodes, ended, strict=True):
                if code:
                    errors = node.log.with_name("errors.log").read_text().strip()
                    raise DemoFailed(f"node {node.address} stopped with exit code {code}: {errors}")
            time.sleep(POLL_SECONDS)


def _show(bars: Progress, bar: TaskID, entry: dict[str, Any]) -> None:
    if entry.get("event") == "training":
        losses = " ".join(
            f"{name} {value:.3f}" for name, value in entry["losses"].items() if value is not None
        )
        bars.update(bar, completed=entry["step"], total=entry["steps"], doing=f"training {losses}")
    elif "event" in entry:
        bars.update(bar, doing=str(entry["event"]))


def last_line(log: Path) -> dict[str, Any]:
    """The last complete JSON line of a log that is being written; empty if there is none."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = file.read().split(b"\n")
    whole = [line for line in lines[:-1] if line.startswith(b"{")]
    return dict(json.loads(whole[-1])) if whole else {}
