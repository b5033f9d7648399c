"""How fast updates are combined, beside Flower's FedAvg, and how much memory a round of many takes.

    uv run scripts/bench/aggregation.py [--repeats 7] [--json]
    uv run --with 'flwr==1.41.*' scripts/bench/aggregation.py

One core: the process pins itself to one, and the rule is single-threaded numpy without BLAS.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table
from workload import dcgan_sized

from chain.accounts import to_address
from chain.types import Reveal, UpdateRevealed
from fl_node.aggregation import weighted_mean
from fl_node.encoding import Update, UpdateHeader, encode_model, encode_update
from fl_node.manifest import build_manifest
from fl_node.round import aggregate_round, load_model
from fl_node.store import open_store

UPDATES = 10
STORED_UPDATES = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--grow-in", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.grow_in:
        print(_growth_mb(options.grow_in))
        return
    result = {**_speeds(options.repeats), "rss_growth_mb": round(_rss_growth_mb(), 1)}
    table = Table(
        "what", "figure", title=f"Combining updates of 3.58M float32, {UPDATES} at a time"
    )
    for name, value in result.items():
        table.add_row(name, str(value))
    Console().print(table)
    if options.json:
        print(json.dumps(result))


def _speeds(repeats: int) -> dict[str, float | None]:
    """Gigabytes of update per second, and how many times Flower's."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    parent = dcgan_sized(0)
    updates = [_update(client, bytes(32)) for client in range(1, UPDATES + 1)]
    size = sum(array.nbytes for one in updates for array in one.arrays.values())
    ours = _seconds(lambda: weighted_mean(parent, updates), repeats)
    theirs = _flower_seconds(updates, repeats)
    return {
        "gigabytes_per_second": round(size / ours / 1e9, 2),
        "over_flower": round(theirs / ours, 2) if theirs else None,
    }


def _update(client: int, parent_digest: bytes) -> Update:
    header = UpdateHeader(1, 1, to_address(f"0x{client:040x}"), parent_digest, 100 + client)
    return Update(header, dcgan_sized(client))


def _seconds(call: Callable[[], object], repeats: int) -> float:
    """The median of several runs, after one that does not count."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _flower_seconds(updates: list[Update], repeats: int) -> float | None:
    """The same for Flower's FedAvg; None where Flower is not installed."""
    try:
        from flwr.server.strategy.aggregate import aggregate
    except ImportError:
        return None
    results = [(list(one.arrays.values()), one.header.num_examples) for one in updates]
    return _seconds(lambda: aggregate(results), repeats)


def _rss_growth_mb() -> float:
    """Peak memory of a fresh process over a round of 50 stored updates, above its idle size."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(folder)
        parent_digest = store.put(encode_model(dcgan_sized(0)))
        digests = [parent_digest]
        for client in range(1, STORED_UPDATES + 1):
            update = _update(client, parent_digest)
            digests.append(store.put(encode_update(update.header, update.arrays)))
        (Path(folder) / "digests").write_text(" ".join(digest.hex() for digest in digests))
        command = [sys.executable, __file__, "--grow-in", folder]
        return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def _growth_mb(folder: Path) -> float:
    parent_digest, *digests = map(bytes.fromhex, (folder / "digests").read_text().split())
    clients = [to_address(f"0x{client:040x}") for client in range(1, len(digests) + 1)]
    manifest = build_manifest(
        {"name": "bench", "seed": 0, "members": clients, "rounds": {"count": 1}}
    )
    reveals = [
        UpdateRevealed(1, 1, client, Reveal(digest, 100 + number, 0, 0, bytes(32)))
        for number, (client, digest) in enumerate(zip(clients, digests, strict=True), 1)
    ]
    idle = _memory_mb("VmRSS")
    store = open_store(folder)
    parent = load_model(store, parent_digest, manifest.limits.model_bytes)
    result = aggregate_round(store, manifest, parent, reveals)
    assert not result.left_out, result.left_out
    return _memory_mb("VmHWM") - idle


def _memory_mb(field: str) -> float:
    """A figure of this process's memory, as Linux reports it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"no {field} in /proc/self/status")


if __name__ == "__main__":
    main()
