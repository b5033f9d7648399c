"""Speed of every aggregation rule, of the mean compared with Flower's FedAvg, and memory of a round with many updates.

    uv run scripts/bench/aggregation.py [--repeats 7] [--json]
    uv run --with 'flwr==1.41.*' scripts/bench/aggregation.py

The process pins itself to one core, and the rules are single-threaded numpy without BLAS.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table
from workload import dcgan_sized

from chain.accounts import to_address
from chain.types import Reveal, UpdateRevealed
from fl_node.blobs.encoding import Update, UpdateHeader, decode_update, encode_update, encoding_seed
from fl_node.blobs.global_state import first_state
from fl_node.blobs.model import encode_model, load_model
from fl_node.blobs.store import open_store
from fl_node.manifest.manifest import build_manifest
from fl_node.round.aggregate import aggregate_round
from fl_node.strategy.combine import COMBINE, WeightedMean, weighted_mean

UPDATES = 10
STORED_UPDATES = 50
SEED = 0
"""The manifest's seed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--grow-in", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.grow_in:
        print(_growth_mb(options.grow_in))
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    console = Console(stderr=options.json)
    updates = [_update(client, bytes(32)) for client in range(1, UPDATES + 1)]
    rules = _rules(updates, options.repeats)
    console.print(_rules_table(rules))
    result = {**_speeds(updates, options.repeats), "rss_growth_mb": round(_rss_growth_mb(), 1)}
    console.print(_mean_table(result))
    if options.json:
        print(json.dumps({**result, "rules": rules}))


def _rules(updates: list[Update], repeats: int) -> dict[str, dict[str, float]]:
    """Seconds that each rule takes with its default knobs, absolute and as a multiple of the weighted mean's."""
    seconds = {}
    for choice, rule in COMBINE.items():
        knobs, parent = choice(), first_state(dcgan_sized(0), rule.slots)
        seconds[knobs.kind] = _seconds(partial(rule.combine, knobs, parent, updates), repeats)
    mean = seconds[WeightedMean().kind]
    return {
        kind: {"seconds": round(taken, 4), "over_weighted_mean": round(taken / mean, 2)}
        for kind, taken in seconds.items()
    }


def _rules_table(rules: dict[str, dict[str, float]]) -> Table:
    title = f"Combining {UPDATES} updates of 3.58M float32"
    table = Table("rule", "milliseconds", "x weighted mean", title=title)
    for kind, figures in rules.items():
        table.add_row(kind, f"{1000 * figures['seconds']:.0f}", str(figures["over_weighted_mean"]))
    return table


def _mean_table(result: dict[str, float | None]) -> Table:
    table = Table("what", "figure", title="The weighted mean, and a round of it")
    for name, value in result.items():
        table.add_row(name.replace("_", " "), "-" if value is None else str(value))
    return table


def _speeds(updates: list[Update], repeats: int) -> dict[str, float | None]:
    """Gigabytes of updates per second, for the rule alone, and from blobs to blob here and in Flower."""
    parent, knobs = dcgan_sized(0), WeightedMean()
    blobs = [encode_update(update.header, update.arrays) for update in updates]
    size = sum(array.nbytes for update in updates for array in update.arrays.values()) / 1e9
    rule = _seconds(lambda: weighted_mean(knobs, parent, updates), repeats)
    ours = _seconds(
        lambda: encode_model(weighted_mean(knobs, parent, map(decode_update, blobs))), repeats
    )
    flower = {
        name: _seconds(call, repeats) if call else None for name, call in _flower(updates).items()
    }
    fedavg = flower["flower_fedavg"]
    return {
        "gigabytes_per_second": round(size / rule, 2),
        "blobs_to_blob": round(size / ours, 2),
        **{name: round(size / taken, 2) if taken else None for name, taken in flower.items()},
        "over_flower": round(fedavg / ours, 2) if fedavg else None,
    }


def _flower(updates: list[Update]) -> dict[str, Callable[[], object] | None]:
    """Flower's FedAvg over the same updates, from serialised replies to a serialised model.

    There are three code paths: the default strategy, the strategy without its in-place shortcut, and the newer message
    API. Each is None if Flower is not installed.
    """
    names = ("flower_fedavg", "flower_fedavg_not_inplace", "flower_message_api")
    try:
        from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict
        from flwr.common import Code, FitRes, Status, ndarrays_to_parameters
        from flwr.server.strategy import FedAvg
        from flwr.serverapp.strategy.strategy_utils import aggregate_arrayrecords
    except ImportError:
        return dict.fromkeys(names)
    logging.getLogger("flwr").setLevel(logging.ERROR)
    ok = Status(Code.OK, "")
    replies = [
        (
            None,
            FitRes(
                ok,
                ndarrays_to_parameters(list(update.arrays.values())),
                update.header.num_examples,
                {},
            ),
        )
        for update in updates
    ]
    records = [
        RecordDict(
            {
                "arrays": ArrayRecord(
                    {name: Array(array) for name, array in update.arrays.items()}
                ),
                "metrics": MetricRecord({"num-examples": update.header.num_examples}),
            }
        )
        for update in updates
    ]
    return dict(
        zip(
            names,
            (
                lambda: FedAvg().aggregate_fit(1, replies, []),
                lambda: FedAvg(inplace=False).aggregate_fit(1, replies, []),
                lambda: aggregate_arrayrecords(records, "num-examples"),
            ),
            strict=True,
        )
    )


def _update(client: int, parent_digest: bytes) -> Update:
    address, steps = to_address(f"0x{client:040x}"), 10 + client
    seed = encoding_seed(SEED, 1, address)
    header = UpdateHeader(1, 1, address, parent_digest, 100 + client, steps, "float32", seed)
    return Update(header, dcgan_sized(client))


def _seconds(call: Callable[[], object], repeats: int) -> float:
    """The median time of several runs, after a warm-up run."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _rss_growth_mb() -> float:
    """Peak memory of a fresh process that aggregates 50 stored updates, above its idle size."""
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
        {"name": "bench", "seed": SEED, "members": clients, "rounds": {"count": 1}}
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
