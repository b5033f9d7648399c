"""A strategy that wraps another one, so that what the server averages is what the members revealed on chain.

The inner strategy chooses nodes, writes the messages and sums up the metrics. The aggregate is not its own: it comes
from the updates on chain and in the store, in ascending order of address, by the arithmetic of docs/protocol.md. So
anybody can compute it again, and the order in which replies arrive does not matter.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from chain.ledger import Ledger
from chain.text import shown
from chain.types import Address, Phase, TaskState, UpdateRevealed, address_number
from fl_node.arrays import Arrays
from fl_node.blobs.digest import digest_of
from fl_node.blobs.model import decode_model, encode_model, load_model
from fl_node.blobs.store import Store
from fl_node.blobs.tensors import schema_of
from fl_node.errors import BadData, Misuse, StateUnusable
from fl_node.flower.passing import flower_learner
from fl_node.flower.records import (
    KEY,
    Announcement,
    Decline,
    announcement_record,
    array_record,
    decline_record,
    read_anchor,
    reason_of,
    received_arrays,
)
from fl_node.flower.settling import aggregate_current
from fl_node.history.kept import KeptLog
from fl_node.manifest.manifest import Manifest
from fl_node.member.waiting import patiently
from fl_node.round.aggregate import Aggregated

LOG = logging.getLogger("flwr")
"""Flower's own log, so that its users find everything in one place."""

T = TypeVar("T")

SETTLING_MESSAGES: Final = 3
"""How often the nodes are asked to attest to a round that an earlier run left open."""


class Anchored(Strategy):
    """`inner`, with the aggregate that chain and store give.

    Args:
        inner: Any strategy that sends the arrays it is given, such as `FedAvg`.
        ledger: The ledger; only read, so any account will do.
        store: The task's store; aggregates are written to it.
        task: The task's number.
        manifest: The task's manifest, already verified against the digest on chain.
        poll: Seconds between looks at the chain while something is awaited.
        patience: Seconds to wait for a chain or a store that gives no answer, or lags behind the nodes' view of it.
        sleep: Waits; replaced in tests.
        folder: Where the task's log is kept from run to run; None keeps it for this run alone.

    Raises:
        Misuse: As `flower_learner`.
        StateUnusable: The folder cannot be made.
    """

    def __init__(
        self,
        inner: Strategy,
        ledger: Ledger,
        store: Store,
        task: int,
        manifest: Manifest,
        poll: float = 0.5,
        patience: float = 60.0,
        sleep: Callable[[float], None] = time.sleep,
        folder: Path | None = None,
    ) -> None:
        flower_learner(manifest)
        self._inner = inner
        self._ledger, self._store, self._task, self._manifest = ledger, store, task, manifest
        self._log = KeptLog(ledger, task, self._existing(folder) / "log.sqlite")
        self._poll, self._patience, self._sleep = poll, patience, sleep
        self._order: list[str] = []
        self._asked: set[int] = set()
        self._asked_only_to_attest: set[int] = set()
        self._announced: Announcement | None = None

    def _existing(self, folder: Path | None) -> Path:
        """The folder, made if it is missing; without one, a folder that goes away with this object."""
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="ganchor-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StateUnusable(f"{folder}: {shown(error)}") from None
        return folder

    def summary(self) -> None:
        """Log the inner strategy, and where its rounds are recorded."""
        self._inner.summary()
        LOG.info("\t└──> Task %d at %s", self._task, self._ledger.contract)

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """What the inner strategy sends, with the task's current model; and to all other nodes, not to wait for them.

        A server that starts again, or one whose initial arrays are random, so goes on where the task is.

        Raises:
            Misuse: Names, shapes or dtypes of the arrays differ from those of the task's model.
        """
        self._order = list(arrays)
        state = self._settled(grid)
        self._announced = None
        if state.phase is Phase.FINISHED:
            LOG.warning("task %d is finished: nobody is asked to train", self._task)
            return []
        current = self._record(self._current(state, arrays))
        messages = list(self._inner.configure_train(server_round, current, config, grid))
        self._asked = {message.metadata.dst_node_id for message in messages}
        decline = RecordDict({KEY: decline_record(Decline(state.round))})
        others = sorted(set(grid.get_node_ids()) - self._asked)
        return messages + [Message(decline, node, MessageType.TRAIN) for node in others]

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Aggregate what was revealed on chain, and let the inner strategy sum up the metrics.

        No arrays if the members have not come to the end of the round: the task then stays where it is.
        """
        asked = [reply for reply in replies if reply.metadata.src_node_id in self._asked]
        answered = [reply for reply in asked if not self._failed(reply)]
        state = self._awaiting_attestations(expected=bool(answered))
        if state.phase is not Phase.ATTEST:
            LOG.warning("round %d on chain is not revealed: nothing to aggregate", state.round)
            return None, None
        aggregated = self._aggregate(state)
        digest = self._store.put(aggregated.blob)
        self._announced = Announcement(state.round, digest, aggregated.included)
        LOG.info("round %d on chain: model %s", state.round, digest.hex())
        for client, fault in aggregated.left_out.items():
            LOG.warning("round %d leaves out %s: %s", state.round, client, shown(fault))
        counted = self._as_revealed(answered, state)
        return self._record(decode_model(aggregated.blob)), self._metrics(server_round, counted)

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """What the inner strategy sends, with the announcement; and a message of its own to all others that trained."""
        self._asked_only_to_attest = set()
        if self._announced is None and self._state().phase is Phase.FINISHED:
            return []  # Nothing has changed since the last evaluation.
        messages = list(self._inner.configure_evaluate(server_round, arrays, config, grid))
        if self._announced is None:
            return messages
        for message in messages:
            message.content[KEY] = announcement_record(self._announced)
        evaluating = {message.metadata.dst_node_id for message in messages}
        self._asked_only_to_attest = self._asked - evaluating
        return messages + self._requests(arrays, self._asked_only_to_attest)

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """What the inner strategy makes of the replies to its own messages."""
        own: list[Message] = []
        for reply in replies:
            if reply.metadata.src_node_id not in self._asked_only_to_attest:
                own.append(reply)
            else:
                self._failed(reply)
        try:
            metrics = self._inner.aggregate_evaluate(server_round, own)
        except Exception as error:
            LOG.warning("the replies' metrics cannot be summed up: %s", shown(error))
            metrics = None
        self._report_result()
        return metrics

    def _current(self, state: TaskState, given: ArrayRecord) -> Arrays:
        """The task's current model."""
        arrays = received_arrays(RecordDict({"arrays": given}))
        if digest_of(encode_model(arrays)) == state.parent_digest:
            return arrays
        limit = self._manifest.limits.model_bytes
        model = self._patiently(lambda: load_model(self._store, state.parent_digest, limit)).arrays
        if schema_of(model) != schema_of(arrays):
            raise Misuse(
                f"the app's arrays differ in names, shapes or dtypes from those of task {self._task}: "
                f"expected {shown(schema_of(model))}, got {shown(schema_of(arrays))}"
            )
        LOG.info("going on from the model of round %d on chain", state.round)
        return model

    def _settled(self, grid: Grid) -> TaskState:
        """The task's state once no round waits for attestations that an earlier run did not ask for."""
        state = self._state()
        for _ in range(SETTLING_MESSAGES):
            if state.phase is not Phase.ATTEST:
                return state
            aggregated = self._aggregate(state)
            digest = self._store.put(aggregated.blob)
            self._announced = Announcement(state.round, digest, aggregated.included)
            record = self._record(decode_model(aggregated.blob))
            replies = grid.send_and_receive(
                self._requests(record, grid.get_node_ids()),
                timeout=state.terms.attest_window + self._patience,
            )
            for reply in replies:
                self._failed(reply)
            state = self._state()
        return state

    def _requests(self, arrays: ArrayRecord, nodes: Iterable[int]) -> list[Message]:
        """Messages that ask for an attestation alone. An app has a function to train; others it need not have."""
        assert self._announced is not None
        only = Announcement(
            self._announced.round, self._announced.digest, self._announced.included, only=True
        )
        content = RecordDict({"arrays": arrays, KEY: announcement_record(only)})
        return [Message(content, node, MessageType.TRAIN) for node in sorted(nodes)]

    def _awaiting_attestations(self, expected: bool) -> TaskState:
        """The state in which the round waits for attestations. A node answers only then, but may see the chain sooner.

        Args:
            expected: Whether a node has answered.
        """
        waited = 0.0
        state = self._state()
        while expected and state.phase in (Phase.COMMIT, Phase.REVEAL) and waited < self._patience:
            self._sleep(self._poll)
            waited += self._poll
            state = self._state()
        return state

    def _as_revealed(self, replies: Sequence[Message], state: TaskState) -> list[Message]:
        """The replies that say what the chain says, in ascending order of address; a member's first one counts."""
        revealed = {one.client: one for one in self._patiently(lambda: self._reveals(state))}
        found: dict[Address, Message] = {}
        for reply in replies:
            try:
                client = _verify_anchor(reply, revealed, state.round)
            except BadData as fault:
                LOG.warning("a reply's metrics do not count: %s", shown(fault))
                continue
            found.setdefault(client, reply)
        return [found[client] for client in sorted(found, key=address_number)]

    def _metrics(self, server_round: int, replies: list[Message]) -> MetricRecord | None:
        try:
            return self._inner.aggregate_train(server_round, replies)[1]
        except Exception as error:
            LOG.warning("the replies' metrics cannot be summed up: %s", shown(error))
            return None

    def _report_result(self) -> None:
        state, announced = self._state(), self._announced
        if announced is not None and state.parent_digest != announced.digest:
            LOG.warning("round %d is not final: the members do not agree", announced.round)

    def _failed(self, reply: Message) -> bool:
        if reply.has_error():
            LOG.warning("a node cannot go on: %s", reason_of(reply))
        return bool(reply.has_error())

    def _reveals(self, state: TaskState) -> tuple[UpdateRevealed, ...]:
        with self._log.read_to(state.history_head) as log:
            return log.attempts().reveals

    def _aggregate(self, state: TaskState) -> Aggregated:
        return self._patiently(
            lambda: aggregate_current(self._log, self._store, self._manifest, state)
        )

    def _state(self) -> TaskState:
        return self._patiently(lambda: self._ledger.task_state(self._task))

    def _record(self, arrays: Arrays) -> ArrayRecord:
        """Arrays in the order that the ServerApp began with."""
        return array_record(arrays, self._order)

    def _patiently(self, act: Callable[[], T]) -> T:
        return patiently(act, _warn, self._patience, self._poll, self._sleep)


def _verify_anchor(
    reply: Message, revealed: Mapping[Address, UpdateRevealed], round: int
) -> Address:
    """The member whose revealed update a reply stands for.

    Raises:
        BadData: The reply does not say so, or the chain says otherwise.
    """
    anchor = read_anchor(reply.content)
    on_chain = revealed.get(anchor.address)
    if on_chain is None or anchor.round != round:
        raise BadData(f"{shown(anchor.address)} did not reveal an update in round {round}")
    if anchor.digest != on_chain.reveal.update_digest:
        raise BadData(
            f"{anchor.address} revealed {on_chain.reveal.update_digest.hex()} in round {round}, "
            f"its reply says {anchor.digest.hex()}"
        )
    return anchor.address


def _warn(error: Exception) -> None:
    LOG.warning("waiting: %s", shown(error))
