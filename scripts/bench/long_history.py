"""A long history, made in a minute: real blobs in a folder, and a chain that is the in-memory ledger behind JSON-RPC.

The endpoint answers reads as a node does. Calls go to the ledger itself, because no block has to be waited for.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from eth_abi.abi import decode, encode
from eth_utils.abi import collapse_if_tuple, function_abi_to_4byte_selector
from rich.progress import track

from chain.accounts import to_address
from chain.artifact import load_artifact
from chain.history import ARGUMENTS, SELECTORS, commitment_of
from chain.memory_ledger import MemoryLedger
from chain.types import Address, Entry, Reveal, UpdateRevealed, indices
from fl_node.arrays import Arrays
from fl_node.blobs.model import Model, decode_model
from fl_node.blobs.store import Store, open_store
from fl_node.learner import Assignment, Measured, StepProgress, Trained, no_progress
from fl_node.manifest.manifest import Manifest, build_manifest
from fl_node.member.opening import open_task
from fl_node.round.aggregate import aggregate_round
from fl_node.round.contribute import Received, UpdateId, contribute

STRATEGY = {"train": {"kind": "adaptive_proximal"}}
"""What a member does in a round depends on the losses of all rounds before it."""


class SmallLearner:
    """Moves a model of eight numbers a little, so that only the history takes time."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def steps_for(self, epochs: int) -> int:
        return epochs

    def measure(self, model: Arrays, private: Arrays | None, training: bool = False) -> Measured:
        return Measured(1.0 + float(np.sum(np.abs(model["w"]))) / 1000)

    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        random = np.random.default_rng([assignment.seed, self._seed])
        moved = assignment.model["w"] + random.normal(size=8).astype(np.float32) / 100
        return Trained({"w": moved}, {"rounds": np.zeros(1)}, 100 + self._seed, 1, 1.0)


@dataclass
class LongHistory:
    """A running task with `rounds` final rounds."""

    ledger: MemoryLedger
    store: Store
    manifest: Manifest
    task: int
    rounds: int


def played(folder: Path, members: int, rounds: int, more: int = 3) -> LongHistory:
    """Play the rounds of a task that has some more; its blobs lie in folder/store."""
    addresses = [to_address(f"0x{number:040x}") for number in range(1, members + 1)]
    count = {"count": rounds + more, "cohort_floor": members, "min_updates": members}
    manifest = build_manifest(
        {
            "name": "long",
            "seed": 0,
            "members": addresses,
            "rounds": count,
            "limits": {"update_norm": 1_000_000},
            "strategy": STRATEGY,
            "learner": {"kind": "module", "code": "12" * 32, "genesis": "34" * 32, "entry": "a:B"},
        }
    )
    ledger, store = MemoryLedger(), open_store(str(folder / "store"))
    task = open_task(ledger, store, manifest, {"w": np.ones(8, np.float32)}).task
    history = LongHistory(ledger, store, manifest, task, rounds)
    for _ in track(range(rounds), f"{rounds} rounds", disable=rounds < 100):
        play_round(history)
    return history


def play_round(history: LongHistory, node: Callable[[], object] = lambda: None) -> None:
    """Let all members play the current round.

    Args:
        history: The task, in its commit phase.
        node: Called first in each of the three phases; may act for a member.
    """
    ledger, task = history.ledger, history.task
    state = ledger.task_state(task)
    node()
    openings = {client: commit(history, client) for client in waiting(history)}
    node()
    for client in waiting(history):
        ledger.acting_as(client).reveal(task, state.round, openings[client])
    node()
    pair = attested(history)
    for client in waiting(history):
        if ledger.task_state(task).round == state.round:
            ledger.acting_as(client).attest(task, state.round, *pair)


def waiting(history: LongHistory) -> list[Address]:
    """The members that have not acted in the current phase."""
    state = history.ledger.task_state(history.task)
    return [history.manifest.addresses[i] for i in indices(state.awaited)]


def commit(history: LongHistory, client: Address) -> Reveal:
    """Train and commit for a member; what it will reveal."""
    ledger, store, task = history.ledger, history.store, history.task
    state = ledger.task_state(task)
    sender = UpdateId(task, state.round, client, state.parent_digest)
    learner = SmallLearner(history.manifest.addresses.index(client))
    received = Received(parent_of(history).arrays)
    contribution = contribute(history.manifest, sender, learner, received, None)
    assert contribution.blob is not None
    opening = Reveal(
        store.put(contribution.blob),
        contribution.num_examples,
        contribution.training_loss,
        contribution.held_out_loss,
        state.round.to_bytes(32, "big"),
    )
    commitment = commitment_of(ledger.chain_id, ledger.contract, task, state.round, client, opening)
    ledger.acting_as(client).commit(task, state.round, commitment)
    return opening


def attested(history: LongHistory) -> tuple[bytes, int]:
    """What the members attest to: the digest of the aggregate, which is in the store then, and the bitmap."""
    recorded = reversed(history.ledger._chain.entries)
    reveals = [one.event for one in islice(recorded, 3 * len(history.manifest.addresses))]
    revealed = [one for one in reveals if isinstance(one, UpdateRevealed)]
    parent = parent_of(history)
    aggregated = aggregate_round(history.store, history.manifest, parent, revealed[::-1])
    return history.store.put(aggregated.blob), aggregated.included


def parent_of(history: LongHistory) -> Model:
    """The model that the current round starts from."""
    digest = history.ledger.task_state(history.task).parent_digest
    return Model(digest, decode_model(history.store.get(digest, 1 << 20)))


ABI = {
    "0x" + function_abi_to_4byte_selector(item).hex(): item
    for item in load_artifact().abi
    if item["type"] == "function"
}
INDEXED = {
    item["name"]: sum(argument["indexed"] for argument in item["inputs"])
    for item in load_artifact().abi
    if item["type"] == "event"
}


@dataclass
class Endpoint:
    """JSON-RPC over an in-memory ledger, for reads; counts what it was asked and what it sent."""

    ledger: MemoryLedger
    task: int
    url: str = ""
    requests: int = 0
    sent: int = 0
    _logs: list[tuple[int, str, str]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, body: bytes) -> bytes:
        """The answer to a request, or to a list of them."""
        with self._lock:
            return self._answer_all(json.loads(body))

    def tell(self, ledger: MemoryLedger) -> None:
        """From now on tell another ledger's history, as after a reorganisation."""
        with self._lock:
            self.ledger, self._logs = ledger, []

    def _answer_all(self, asked: Any) -> bytes:
        self.requests += 1
        parts = [self._answer(one) for one in (asked if isinstance(asked, list) else [asked])]
        text = f"[{','.join(parts)}]" if isinstance(asked, list) else parts[0]
        self.sent += len(text)
        return text.encode()

    def catch_up(self) -> None:
        """Write the logs of what is new on the ledger."""
        for entry in self.ledger._chain.entries[len(self._logs) :]:
            self._logs.append((entry.block_number, *as_log(entry, self.ledger.contract)))

    def _answer(self, asked: dict[str, Any]) -> str:
        result = self._result(asked["method"], asked["params"])
        return f'{{"jsonrpc":"2.0","id":{json.dumps(asked["id"])},"result":{result}}}'

    def _result(self, method: str, params: Any) -> str:
        match method:
            case "eth_chainId":
                return json.dumps(hex(self.ledger.chain_id))
            case "eth_getCode":
                return json.dumps("0x" + load_artifact().deployed_bytecode.removeprefix("0x"))
            case "eth_blockNumber":
                return json.dumps(hex(self._newest()))
            case "eth_getBlockByNumber":
                return json.dumps(self._block())
            case "eth_call":
                return json.dumps(self._view(params[0]["data"]))
            case "eth_getLogs":
                return self._found(**params[0])
            case _:
                raise NotImplementedError(method)

    def _newest(self) -> int:
        return self.ledger._chain.block_number

    def _block(self) -> dict[str, str]:
        number = hex(self._newest())
        return {
            "number": number,
            "timestamp": hex(self.ledger.look(self.task).now),
            "gasLimit": "0x1c9c380",
        }

    def _view(self, data: str) -> str:
        item = ABI[data[:10]]
        types = [collapse_if_tuple(value) for value in item["inputs"]]
        arguments = decode(types, bytes.fromhex(data[10:]))
        if item["name"] == "taskCount":
            value: Any = self.ledger.task_count()
        else:
            assert item["name"] == "taskState"
            value = astuple(self.ledger.task_state(*arguments))
        return "0x" + encode([collapse_if_tuple(item["outputs"][0])], [value]).hex()

    def _found(self, topics: list[str | None], fromBlock: str, toBlock: str, **_: Any) -> str:
        self.catch_up()
        first, last = int(fromBlock, 16), 1 << 63 if toBlock == "latest" else int(toBlock, 16)
        begin = next((i for i, log in enumerate(self._logs) if log[0] >= first), len(self._logs))
        found = (log for log in self._logs[begin:] if log[0] <= last)
        return "[" + ",".join(text for _, topic, text in found if topics[0] in (None, topic)) + "]"


def as_log(entry: Entry, contract: Address) -> tuple[str, str]:
    """An entry's first topic, and the entry as a node writes it."""
    event = entry.event
    types, values = ARGUMENTS[type(event)], astuple(event)
    indexed = INDEXED[type(event).__name__]
    first = "0x" + SELECTORS[type(event)].hex()
    rest = [
        "0x" + encode((t,), (v,)).hex()
        for t, v in zip(types[:indexed], values[:indexed], strict=True)
    ]
    log = {
        "address": contract,
        "topics": [first, *rest],
        "data": "0x" + encode(types[indexed:], values[indexed:]).hex(),
        "blockNumber": hex(entry.block_number),
        "blockHash": "0x" + entry.block_number.to_bytes(32, "big").hex(),
        "logIndex": hex(entry.log_index),
        "transactionHash": "0x" + entry.block_number.to_bytes(32, "big").hex(),
        "blockTimestamp": hex(entry.timestamp),
    }
    return first, json.dumps(log, separators=(",", ":"))


@contextmanager
def served(ledger: MemoryLedger, task: int) -> Iterator[Endpoint]:
    """Serve a chain on loopback."""
    endpoint = Endpoint(ledger, task)
    endpoint.catch_up()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = endpoint.answer(body)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        endpoint.url = f"http://127.0.0.1:{server.server_port}"
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield endpoint
        finally:
            server.shutdown()
            serving.join()
