"""Speed of the audit of a stored history, in bytes of update blobs per second, on one core.

The history is real except for the chain, which is the in-memory ledger: 10 members, updates of 14.3 MB, blobs in a
folder. For comparison, the script measures how long the store takes to read and hash the same blobs, which is a lower
bound for every audit.

    uv run scripts/bench/audit.py [--members 10] [--rounds 3] [--repeats 3] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table
from workload import RestingLearner, dcgan_sized

from chain.accounts import to_address
from chain.memory_ledger import MemoryLedger
from fl_node.audit import AuditReport, audit
from fl_node.blobs.store import Store, open_store
from fl_node.manifest.manifest import build_manifest
from fl_node.member.next_action import Action
from fl_node.member.opening import open_task
from fl_node.member.participant import Participant
from fl_node.member.state import Membership, NodeState


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--members", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        ledger, store = history(Path(folder), options.members, options.rounds)
        result = measure(ledger, store, options.repeats)
    table = Table(title="Audit of a stored history, one core")
    for column in result:
        table.add_column(column.replace("_", " "), justify="right")
    table.add_row(*(f"{value:g}" for value in result.values()))
    Console(stderr=options.json).print(table)
    if options.json:
        print(json.dumps(result))


def history(folder: Path, members: int, rounds: int) -> tuple[MemoryLedger, Store]:
    """Run a whole task on the in-memory ledger and leave its blobs in a folder."""
    addresses = [to_address(f"0x{number:040x}") for number in range(1, members + 1)]
    manifest = build_manifest(
        {
            "name": "audit",
            "seed": 0,
            "members": addresses,
            "rounds": {"count": rounds},
            "limits": {"update_norm": 1_000_000},
        }
    )
    ledger, store = MemoryLedger(), open_store(folder / "store")
    task = open_task(ledger, store, manifest, dcgan_sized(0)).task
    nodes = []
    for index, address in enumerate(addresses):
        membership = Membership(ledger.chain_id, ledger.contract, task, address)
        state = NodeState(folder / str(index), membership)
        acting = ledger.acting_as(address)
        nodes.append(Participant(acting, store, RestingLearner(index), task, manifest, state))
    while {node.step().action for node in nodes} != {Action.FINISHED}:
        pass
    return ledger, store


def measure(ledger: MemoryLedger, store: Store, repeats: int) -> dict[str, float]:
    """Medians of several runs of the audit and of hashing alone, which take turns."""
    rounds = audited(ledger, store).rounds
    digests = [update.digest for final in rounds for update in final.updates]
    audits, hashes = [], []
    for _ in range(repeats):
        audits.append(seconds_of(lambda: audited(ledger, store)))
        hashes.append(seconds_of(lambda: read_all(store, digests)))
    gigabytes = audited(ledger, store).blob_bytes / 1e9
    return {
        "gigabytes": round(gigabytes, 3),
        "gigabytes_per_second": round(gigabytes / statistics.median(audits), 3),
        "sha256_gigabytes_per_second": round(gigabytes / statistics.median(hashes), 3),
    }


def audited(ledger: MemoryLedger, store: Store) -> AuditReport:
    report = audit(lambda: ledger, store, 1)
    if report.findings:
        raise SystemExit(f"the history is not clean: {report.findings[0]}")
    return report


def read_all(store: Store, digests: list[str]) -> None:
    for digest in digests:
        store.get(bytes.fromhex(digest), 1 << 30)


def seconds_of(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
