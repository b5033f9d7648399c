"""A Flower federation in one process: a grid whose nodes are threads, and an app that moves every weight."""

from __future__ import annotations

import ast
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from doubles import MEMBERS, Federation, small_manifest
from flwr.app import ArrayRecord, ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg
from flwr.supercore.task_identity import TaskIdentity

from chain.types import Address
from fl_node.blobs.model import load_model
from fl_node.flower.mod import Seat, anchoring
from fl_node.flower.records import KEY, array_record
from fl_node.flower.strategy import Anchored
from fl_node.manifest.manifest import Manifest

POLL = 0.002
STALLED = 60.0


def flower_manifest(members: tuple[str, ...] = MEMBERS, **changes: Any) -> Manifest:
    """A task of two rounds whose learner is a Flower app; `changes` replace its sections or the learner's fields."""
    learner = {
        "kind": "flower",
        "code": "ab" * 32,
        "entry": "moving:app",
        "genesis": "cd" * 32,
        "losses": {"training": "train_loss", "held_out": "eval_loss"},
        **changes.pop("learner", {}),
    }
    return small_manifest(members, learner=learner, **changes)


def moving_app(mods: list[Any], evaluates: bool = True) -> ClientApp:
    """An app that adds its `step` and its number of calls to every weight; it counts in its `Context.state`."""
    app = ClientApp(mods=mods)

    @app.train()
    def train(message: Message, context: Context) -> Message:
        assert set(message.content) == {"arrays", "config"}
        calls = _count(context)
        arrays = message.content["arrays"]
        step = np.float32(context.node_config["step"]) * np.float32(calls)
        moved = {
            name: np.asarray(array.numpy() + step, np.float32) for name, array in arrays.items()
        }
        metrics = MetricRecord({"num-examples": 10 * calls, "train_loss": 1.0 / calls})
        content = RecordDict({"arrays": array_record(moved, arrays), "metrics": metrics})
        return Message(content, reply_to=message)

    if evaluates:

        @app.evaluate()
        def evaluate(message: Message, context: Context) -> Message:
            assert set(message.content) == {"arrays", "config"}
            mean = float(
                np.mean([array.numpy().mean() for array in message.content["arrays"].values()])
            )
            metrics = MetricRecord({"num-examples": 5, "eval_loss": mean})
            return Message(RecordDict({"metrics": metrics}), reply_to=message)

    return app


def _count(context: Context) -> int:
    calls = int(context.state["calls"]["calls"]) + 1 if "calls" in context.state else 1
    context.state["calls"] = MetricRecord({"calls": calls})
    return calls


_parsing = threading.Lock()


def _literal_eval(text: str, parse: Callable[[str], object] = ast.literal_eval) -> object:
    """One thread at a time: NumPy parses each array's header, and Python 3.11's parser is not made for threads.

    Nodes of a real federation are processes. Source: https://github.com/python/cpython/issues/106905
    """
    with _parsing:
        return parse(text)


@dataclass
class ThreadGrid(Grid):
    """Nodes by number; each answers in a thread of its own, and the last one's reply comes first.

    Attributes:
        lost: Nodes that no message reaches.
        first: A node that has begun before the others are asked.
        has_begun: Whether it has.
    """

    apps: dict[int, ClientApp]
    contexts: dict[int, Context]
    lost: set[int] = field(default_factory=set)
    first: int | None = None
    has_begun: Callable[[], bool] = lambda: True
    errors: list[str] = field(default_factory=list)

    def set_run(self, run: Any) -> None:
        """There is one run."""

    @property
    def run(self) -> Any:
        return None

    def create_message(self, *arguments: Any, **_: Any) -> Message:
        raise NotImplementedError

    def get_node_ids(self) -> Iterable[int]:
        return [node for node in self.apps if node not in self.lost]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        raise NotImplementedError

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        raise NotImplementedError

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        wanted = [one for one in messages if one.metadata.dst_node_id not in self.lost]
        wanted.sort(key=lambda one: one.metadata.dst_node_id != self.first)
        replies: list[Message] = []
        threads = [
            threading.Thread(target=lambda one=one: replies.append(self._answer(one)), daemon=True)
            for one in wanted
        ]
        with patch("ast.literal_eval", _literal_eval):
            for message, thread in zip(wanted, threads, strict=True):
                thread.start()
                if message.metadata.dst_node_id == self.first:
                    while thread.is_alive() and not self.has_begun():
                        time.sleep(POLL)
            for thread in threads:
                thread.join(STALLED)
        self.errors += [str(reply.error.reason) for reply in replies if reply.has_error()]
        assert len(replies) == len(wanted), f"nodes are stuck; the others: {self.errors}"
        return sorted(replies, key=lambda reply: reply.metadata.src_node_id)

    def _answer(self, message: Message) -> Message:
        node = message.metadata.dst_node_id
        try:
            return self.apps[node](message, self.contexts[node])
        except Exception as error:  # as Flower does
            return Message(Error(2, str(error)), reply_to=message)


def nodes_of(
    federation: Federation,
    verify: bool = False,
    app: Callable[[list[Any]], ClientApp] = moving_app,
    sleep: Callable[[float], None] | None = None,
    seats: Callable[[Seat], Seat] = lambda seat: seat,
) -> ThreadGrid:
    """A node for each member, with strange numbers: those that Flower draws."""
    _identify()
    grid = ThreadGrid({}, {})
    for number, member in enumerate(federation.manifest.addresses, start=1):
        seat = seats(seat_of(federation, member, verify))
        waiting = {} if sleep is None else {"sleep": sleep}
        mod = anchoring(lambda context, seat=seat: seat, POLL, 5, **waiting)
        node = 2**64 - 5 * number
        grid.apps[node] = app([mod])
        config = {"step": 0.25 * number**2, "partition-id": number - 1}
        grid.contexts[node] = Context(7, node, config, RecordDict(), {})
    return grid


def _identify() -> None:
    """Every message asks which task of which run makes it; Flower's own processes are told at their start."""
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 7, 1


def seat_of(federation: Federation, member: Address, verify: bool = False) -> Seat:
    return Seat(
        federation.ledger.acting_as(member),
        federation.store,
        federation.task,
        federation.manifest,
        federation.folder / member,
        verify,
    )


def anchored(
    federation: Federation,
    inner: Any = None,
    kind: type[Anchored] = Anchored,
    folder: Path | None = None,
) -> Anchored:
    return kind(
        inner or FedAvg(min_train_nodes=1, min_evaluate_nodes=1, min_available_nodes=1),
        federation.ledger,
        federation.store,
        federation.task,
        federation.manifest,
        POLL,
        5,
        folder=folder,
    )


def genesis_record(federation: Federation) -> ArrayRecord:
    """What a ServerApp starts with: the task's genesis."""
    digest = federation.ledger.task_state(federation.task).genesis_digest
    arrays = load_model(federation.store, digest, 1 << 20).arrays
    return array_record(arrays, arrays)


def message_to(
    node: int, arrays: ArrayRecord, kind: str = "train", record: ConfigRecord | None = None
) -> Message:
    """What a server sends: a model and its settings, and a record of the project's if one is given."""
    _identify()
    content = RecordDict({"arrays": arrays, "config": ConfigRecord({"server-round": 1})})
    if record is not None:
        content[KEY] = record
    return Message(content, node, kind)
