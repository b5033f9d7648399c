"""Memory of the exchange: the peak of what a node allocates in each of its steps, without its learner.

One of three nodes is measured over two rounds, with the in-memory ledger and a store in a folder. The learner returns a
fixed change of a model of 14.3 MB and allocates nothing else, so that only the node's own memory is traced: the trained
model, the difference, the encoded update, the sums of an aggregation, and the next model. Blobs that are read are
memory-mapped files, which are not counted.

    uv run scripts/bench/memory.py [--json]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import tracemalloc
from pathlib import Path

from rich.console import Console
from rich.table import Table
from workload import RestingLearner, dcgan_sized

from chain.accounts import to_address
from chain.memory_ledger import MemoryLedger
from fl_node.blobs.global_state import first_state
from fl_node.blobs.store import open_store
from fl_node.manifest.manifest import Manifest, build_manifest
from fl_node.member.next_action import Action
from fl_node.member.opening import open_task
from fl_node.member.participant import Participant
from fl_node.member.state import Membership, NodeState

MEMBERS = [to_address(f"0x{number:040x}") for number in (1, 2, 3)]
SETTINGS = {
    "float32": {},
    "top_k + quantise": {
        "encode": [{"kind": "top_k", "fraction": "0.01"}, {"kind": "quantise", "bits": 4}]
    },
    "median": {"combine": "median"},
    "adam": {"combine": "adam"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = {name: measure(strategy) for name, strategy in SETTINGS.items()}
    table = Table(title="Peak of a node's own memory, in models of 14.3 MB")
    columns = ("commit", "reveal", "attest")
    for column in ("strategy", *columns):
        table.add_column(column, justify="right")
    for name, peaks in figures.items():
        table.add_row(name, *(f"{peaks[column]:.1f}" for column in columns))
    Console(stderr=options.json).print(table)
    if options.json:
        print(json.dumps(figures))


def measure(strategy: dict[str, object]) -> dict[str, float]:
    """Peak memory of the first node in each kind of step, in models, without the learner's own change."""
    manifest = build_manifest(
        {
            "name": "memory",
            "seed": 1,
            "members": MEMBERS,
            "strategy": strategy,
            "rounds": {"count": 2, "cohort_floor": 3, "min_updates": 3},
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        return run(Path(folder), manifest)


def run(folder: Path, manifest: Manifest) -> dict[str, float]:
    """Step three nodes in turn, and trace the steps of the first."""

    ledger, store = MemoryLedger(), open_store(folder / "store")
    genesis = first_state(dcgan_sized(0), manifest.strategy.slots)
    task = open_task(ledger, store, manifest, genesis).task
    model_bytes = sum(array.nbytes for array in dcgan_sized(0).values())
    nodes = []
    for seed, member in enumerate(MEMBERS, start=1):
        acting = ledger.acting_as(member)
        membership = Membership(acting.chain_id, acting.contract, task, member)
        state = NodeState(folder / member, membership)
        nodes.append(Participant(acting, store, RestingLearner(seed), task, manifest, state))
    del genesis
    peaks: dict[str, float] = {}
    done = {Action.WAIT}
    while done != {Action.FINISHED}:
        tracemalloc.start()
        step = nodes[0].step()
        peak = tracemalloc.get_traced_memory()[1] / model_bytes
        tracemalloc.stop()
        name = step.action.name.lower()
        peaks[name] = max(peaks.get(name, 0.0), round(peak, 2))
        done = {step.action} | {node.step().action for node in nodes[1:]}
    return peaks


if __name__ == "__main__":
    main()
