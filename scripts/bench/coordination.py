"""The duration of a round without training: chain over HTTP, store, encoding, aggregation and attestation.

The local chain and every node run in their own processes, as in `ganchor demo`. Models have 3,576,704 parameters
(14.3 MB). Seconds per round are the wall-clock time from the opening of round 1 to the end of the task, divided by the
number of rounds; starting the processes is not included.

    uv run scripts/bench/coordination.py [--nodes 3] [--rounds 5] [--json]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

from rich.console import Console
from rich.table import Table
from workload import RestingLearner, dcgan_sized

from chain.accounts import Signer, address_of, dev_accounts
from chain.deploy import Deployment, deploy
from chain.web3_ledger import Web3Ledger
from fl_node.blobs.store import open_store
from fl_node.manifest.manifest import Manifest, build_manifest
from fl_node.member.opening import open_task
from fl_node.member.participant import Participant, Step
from fl_node.member.state import Membership, NodeState
from fl_node.member.taking_part import take_part

POLL_SECONDS = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), options.nodes, options.rounds)
    table = Table(title="Coordination, no training")
    for column in result:
        table.add_column(column.replace("_", " "), justify="right")
    table.add_row(*(f"{value:g}" for value in result.values()))
    Console(stderr=options.json).print(table)
    if options.json:
        print(json.dumps(result))


def measure(folder: Path, nodes: int, rounds: int) -> dict[str, float]:
    """Run a task and measure it."""
    signers = dev_accounts(0, nodes)
    manifest = build_manifest(
        {
            "name": "coordination",
            "seed": 0,
            "members": [address_of(signer) for signer in signers],
            "rounds": {"count": rounds, "cohort_floor": nodes, "min_updates": nodes},
            "limits": {"update_norm": 1_000_000},
        }
    )
    funded = [word for signer in signers for word in ("--fund", address_of(signer))]
    devnet = subprocess.Popen(
        [
            *(sys.executable, "-m", "fl_node.cli", "devnet", "--port", "0"),
            *("--database", str(folder / "chain.sqlite"), *funded),
        ],
        stdout=subprocess.PIPE,
    )
    try:
        assert devnet.stdout is not None
        rpc_url = json.loads(devnet.stdout.readline())["url"]
        return run_nodes(folder, rpc_url, manifest, signers)
    finally:
        devnet.terminate()
        devnet.wait()


def run_nodes(
    folder: Path, rpc_url: str, manifest: Manifest, signers: list[Signer]
) -> dict[str, float]:
    """Start the nodes, release them at the same time, and wait for the end of the task."""
    deployed = deploy(rpc_url, signers[0])
    ledger = Web3Ledger(rpc_url, deployed.address, signers[0])
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(len(signers) + 1)
    task = open_task(ledger, open_store(folder / "store"), manifest, dcgan_sized(0)).task
    processes = [
        context.Process(
            target=take_one_part,
            args=(folder, rpc_url, deployed, task, manifest, index, ready),
        )
        for index in range(len(signers))
    ]
    for process in processes:
        process.start()
    ready.wait()
    started = time.perf_counter()
    for process in processes:
        process.join()
    seconds = time.perf_counter() - started
    if any(process.exitcode for process in processes):
        raise SystemExit("a node failed")
    rounds = manifest.rounds.count
    return {
        "nodes": len(signers),
        "rounds": rounds,
        "model_megabytes": 14.3,
        "seconds_per_round": round(seconds / rounds, 3),
    }


def take_one_part(
    folder: Path,
    rpc_url: str,
    deployed: Deployment,
    task: int,
    manifest: Manifest,
    index: int,
    ready: Barrier,
) -> None:
    """Run one node in its own process."""
    signer = dev_accounts(0, len(manifest.members))[index]
    ledger = Web3Ledger(rpc_url, deployed.address, signer, first_block=deployed.block)
    membership = Membership(ledger.chain_id, ledger.contract, task, ledger.account)
    state = NodeState(folder / f"node-{index}", membership)
    store = open_store(folder / "store")
    participant = Participant(ledger, store, RestingLearner(index), task, manifest, state)
    ready.wait()
    take_part(participant, complain, poll=POLL_SECONDS)


def complain(what: Step | Exception) -> None:
    if isinstance(what, Exception):
        print(what, file=sys.stderr)


if __name__ == "__main__":
    main()
