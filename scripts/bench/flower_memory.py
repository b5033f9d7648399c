"""Memory to aggregate a round of 96 updates of 14.3 MB, as many as a task can have: ours, and that of Flower's FedAvg.

Each is measured in a process of its own: the peak of its resident memory above what its imports take. Ours reads the
updates from a store, one after the other. Flower's server holds the replies of all nodes before it averages them,
because its Grid collects them in one list.

    uv run scripts/bench/flower.py --only memory
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from workload import dcgan_sized

from chain.accounts import to_address
from chain.types import MAX_MEMBERS, Reveal, UpdateRevealed
from fl_node.blobs.encoding import UpdateHeader, encode_update, encoding_seed
from fl_node.blobs.model import encode_model, load_model
from fl_node.blobs.store import Store, open_store
from fl_node.manifest.manifest import build_manifest
from fl_node.round.aggregate import aggregate_round

CLIENTS = [to_address(f"0x{number:040x}") for number in range(1, MAX_MEMBERS + 1)]
EXAMPLES = 100
MANIFEST = build_manifest({"name": "bench", "seed": 0, "members": CLIENTS, "rounds": {"count": 1}})
DIGESTS = "digests"
"""The file with the digests of the first model and of the updates."""


def memory_to_aggregate(folder: Path) -> dict[str, float]:
    """Megabytes above an idle process, for both."""
    store_updates(folder)
    return {f"{name}_megabytes": _measured(name, folder) for name in AGGREGATIONS}


def store_updates(folder: Path) -> None:
    """Put a model and an update of each client into a store."""
    store = open_store(folder)
    parent = store.put(encode_model(dcgan_sized(0)))
    digests = [parent]
    for number, client in enumerate(CLIENTS, start=1):
        seed = encoding_seed(MANIFEST.seed, 1, client)
        header = UpdateHeader(1, 1, client, parent, EXAMPLES, 1, "float32", seed)
        digests.append(store.put(encode_update(header, dcgan_sized(number))))
    (folder / DIGESTS).write_text("\n".join(digest.hex() for digest in digests))


def _measured(name: str, folder: Path) -> float:
    command = [sys.executable, __file__, name, str(folder)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def ganchor_aggregates(store: Store, digests: list[bytes]) -> Callable[[], object]:
    """Our aggregation, from the store to the encoded next model."""
    parent, *updates = digests
    reveals = [
        UpdateRevealed(1, 1, client, Reveal(digest, EXAMPLES, 0, 0, bytes(32)))
        for client, digest in zip(CLIENTS, updates, strict=True)
    ]

    def aggregate() -> None:
        model = load_model(store, parent, MANIFEST.limits.model_bytes)
        done = aggregate_round(store, MANIFEST, model, reveals)
        assert not done.left_out, done.left_out

    return aggregate


def flower_aggregates(store: Store, digests: list[bytes]) -> Callable[[], object]:
    """Flower's own: replies of all nodes in a list, then FedAvg of the message API."""
    from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
    from flwr.serverapp.strategy import FedAvg

    from fl_node.flower.inner import instruction

    def reply(number: int) -> Message:
        arrays = {name: Array(array) for name, array in dcgan_sized(number).items()}
        content = {
            "arrays": ArrayRecord(arrays),
            "metrics": MetricRecord({"num-examples": EXAMPLES}),
        }
        asked = instruction(RecordDict(), "train", run=1, node=number)
        return Message(RecordDict(content), reply_to=asked)

    def aggregate() -> None:
        replies = [reply(number) for number in range(1, len(digests))]
        FedAvg().aggregate_train(1, replies)

    return aggregate


AGGREGATIONS = {"ganchor": ganchor_aggregates, "flower_fedavg": flower_aggregates}


def memory_mb(field: str, process: str = "self") -> float:
    """A figure of a process's memory, as Linux reports it: `VmRSS` now, `VmHWM` at its peak."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"no {field} in /proc/{process}/status")


def main(name: str, folder: str) -> None:
    digests = [bytes.fromhex(line) for line in (Path(folder) / DIGESTS).read_text().splitlines()]
    aggregate = AGGREGATIONS[name](open_store(folder), digests)
    idle = memory_mb("VmRSS")
    aggregate()
    print(round(memory_mb("VmHWM") - idle, 1))


if __name__ == "__main__":
    main(*sys.argv[1:])
