"""The mod that puts what a SuperNode sends on the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from doubles import MEMBERS, Federation
from flower_federation import (
    POLL,
    anchored,
    flower_manifest,
    genesis_record,
    message_to,
    moving_app,
    nodes_of,
    seat_of,
)
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from chain.errors import ChainUnreachable
from chain.types import MemberRejoined, Phase, RoundSkipped, UpdateCommitted, UpdateRevealed
from fl_node.blobs.digest import digest_of
from fl_node.blobs.encoding import decode_update
from fl_node.blobs.model import encode_model
from fl_node.errors import StoreUnusable
from fl_node.flower.mod import Seat, anchoring
from fl_node.flower.records import (
    KEY,
    Announcement,
    Decline,
    announcement_record,
    array_record,
    decline_record,
    read_anchor,
    received_arrays,
)

ALONE = MEMBERS[:1]


@pytest.fixture
def alone(federate: Callable[..., Federation]) -> Federation:
    """A task with one member, who waits for nobody."""
    rounds = {"count": 3, "cohort_floor": 1, "min_updates": 1}
    return federate(flower_manifest(ALONE, rounds=rounds))


class Node:
    """One node, whose app counts its calls."""

    def __init__(self, federation: Federation, seat: Seat | None = None, **changes: Any) -> None:
        self.federation = federation
        self.grid = nodes_of(federation, seats=lambda own: replace(seat or own, **changes))
        (self.number,) = list(self.grid.apps)[:1]

    def ask(self, *arguments: Any) -> Message:
        message = message_to(self.number, *arguments)
        return self.grid.apps[self.number](message, self.grid.contexts[self.number])

    @property
    def calls(self) -> int:
        """How often the app has trained."""
        state = self.grid.contexts[self.number].state
        return int(state["calls"]["calls"]) if "calls" in state else 0


def events(federation: Federation, kind: type) -> list[Any]:
    history = (entry.event for entry in federation.ledger.history(federation.task))
    return [event for event in history if isinstance(event, kind)]


def announced(federation: Federation, record: ArrayRecord, **changes: Any) -> ConfigRecord:
    digest = digest_of(encode_model(received_arrays(RecordDict({"arrays": record}))))
    return announcement_record(replace(Announcement(1, digest, 0b1), **changes))


def test_a_reply_names_the_update_that_its_member_revealed(alone: Federation) -> None:
    reply = Node(alone).ask(genesis_record(alone))
    (revealed,) = events(alone, UpdateRevealed)
    anchor = read_anchor(reply.content)
    assert (anchor.address, anchor.round) == (ALONE[0], 1)
    assert anchor.digest == revealed.reveal.update_digest


def test_the_update_is_the_reply_minus_what_was_received_and_states_its_digest(
    alone: Federation,
) -> None:
    sent = genesis_record(alone)
    reply = Node(alone).ask(sent)
    update = decode_update(alone.store.get(read_anchor(reply.content).digest, 1 << 20))
    received = received_arrays(RecordDict({"arrays": sent}))
    assert update.header.parent_digest == digest_of(encode_model(received))
    returned = reply.content["arrays"]
    for name, array in received.items():
        assert np.array_equal(update.arrays[name], returned[name].numpy() - array)


def test_the_app_answers_as_if_there_were_no_ledger(alone: Federation) -> None:
    plain = moving_app([])
    node = Node(alone)
    context = node.grid.contexts[node.number]
    bare = Context(7, 1, context.node_config, RecordDict(), {})
    expected = plain(message_to(node.number, genesis_record(alone)), bare).content
    found = node.ask(genesis_record(alone)).content
    assert {key: found[key] for key in found if key != KEY} == dict(expected)


def test_another_model_than_the_tasks_is_not_trained(alone: Federation) -> None:
    node, genesis = Node(alone), received_arrays(RecordDict({"arrays": genesis_record(alone)}))
    planted = {name: array + 1 for name, array in genesis.items()}
    reply = node.ask(array_record(planted, planted))
    assert "another model to train than round 1 starts from" in reply.error.reason
    assert node.calls == 0 and not events(alone, UpdateCommitted)


@pytest.mark.parametrize(
    "content",
    [
        RecordDict(),
        RecordDict({"arrays": ArrayRecord(), "more": ArrayRecord()}),
        RecordDict({"arrays": ArrayRecord(), KEY: ConfigRecord({"decline": "all"})}),
        RecordDict({"arrays": ArrayRecord(), KEY: ConfigRecord({"digest": "ab"})}),
    ],
    ids=["nothing", "two models", "a strange wish", "half an announcement"],
)
def test_a_message_of_another_form_is_answered_with_one_line(
    alone: Federation, content: RecordDict
) -> None:
    node = Node(alone)
    message = Message(content, node.number, "train")
    reply = node.grid.apps[node.number](message, node.grid.contexts[node.number])
    assert reply.error.reason.startswith("ganchor: ") and "\n" not in reply.error.reason


def test_arrays_that_are_no_arrays_are_answered_with_one_line(alone: Federation) -> None:
    broken = ArrayRecord({"w": Array("float32", (10**12,), "numpy.ndarray", b"\x93NUMPY no")})
    assert "cannot be read" in Node(alone).ask(broken).error.reason


def test_an_app_that_raises_costs_its_member_the_round(alone: Federation) -> None:
    def failing(mods: list[Any]) -> ClientApp:
        app = ClientApp(mods=mods)

        @app.train()
        def train(message: Message, context: Context) -> Message:
            raise RuntimeError("no\ndata")

        return app

    grid = nodes_of(alone, app=failing)
    (node,) = grid.apps
    reply = grid.apps[node](message_to(node, genesis_record(alone)), grid.contexts[node])
    assert "declined round 1: the Flower app's train raised RuntimeError: no data" in (
        reply.error.reason
    )
    assert len(events(alone, RoundSkipped)) == 1


class Unplugged:
    """A ledger that cannot be reached for one kind of call."""

    def __init__(self, ledger: Any, call: str) -> None:
        self._ledger, self._call = ledger, call

    def __getattr__(self, name: str) -> Any:
        if name == self._call:
            raise ChainUnreachable("unplugged")
        return getattr(self._ledger, name)


@pytest.mark.parametrize("call", ["commit", "reveal"])
def test_a_node_that_was_killed_reveals_what_it_had_planned(alone: Federation, call: str) -> None:
    own = seat_of(alone, ALONE[0])
    node = Node(alone)
    cut = anchoring(
        lambda context: replace(own, ledger=Unplugged(own.ledger, call)), POLL, patience=0
    )
    broken = moving_app([cut])
    context = node.grid.contexts[node.number]
    reply = broken(message_to(node.number, genesis_record(alone)), context)
    assert reply.error.reason == "ganchor: unplugged"
    assert node.calls == 1

    reply = node.ask(genesis_record(alone))
    assert node.calls == 1, "the app is not asked again"
    (committed,), (revealed,) = events(alone, UpdateCommitted), events(alone, UpdateRevealed)
    assert committed.commitment and read_anchor(reply.content).digest == (
        revealed.reveal.update_digest
    )
    first = received_arrays(RecordDict({"arrays": genesis_record(alone)}))
    moved = reply.content["arrays"]
    assert all(np.array_equal(moved[n].numpy(), first[n] + np.float32(0.25)) for n in first)
    assert reply.content["metrics"]["train_loss"] == 1.0


def test_a_member_that_cannot_open_its_seat_says_so() -> None:
    def closed(context: Context) -> Seat:
        raise StoreUnusable("no store")

    app = moving_app([anchoring(closed)])
    reply = app(message_to(1, ArrayRecord()), Context(7, 1, {}, RecordDict(), {}))
    assert reply.error.reason == "ganchor: no store"


def test_a_node_attests_to_what_it_received(alone: Federation) -> None:
    node = Node(alone)
    node.ask(genesis_record(alone))
    model = genesis_record(alone)  # as a server that averages nothing would send it
    reply = node.ask(model, "evaluate", announced(alone, model))
    assert reply.content["metrics"]["num-examples"] == 5
    state = alone.ledger.task_state(alone.task)
    assert (state.round, state.phase) == (2, Phase.COMMIT)


def test_a_server_that_announces_one_model_and_sends_another_is_refused(alone: Federation) -> None:
    node = Node(alone)
    node.ask(genesis_record(alone))
    reply = node.ask(
        genesis_record(alone), "evaluate", announced(alone, genesis_record(alone), digest=b"x" * 32)
    )
    assert "the server announced model 7878" in reply.error.reason
    assert alone.ledger.task_state(alone.task).phase is Phase.ATTEST


def test_an_announcement_of_another_round_changes_nothing(alone: Federation) -> None:
    node, model = Node(alone), genesis_record(alone)
    before = alone.ledger.task_state(alone.task).history_head
    reply = node.ask(model, "evaluate", announced(alone, model, round=9))
    assert not reply.has_error()
    assert alone.ledger.task_state(alone.task).history_head == before


def test_who_is_not_asked_to_train_declines(alone: Federation) -> None:
    node = Node(alone)
    message = Message(RecordDict({KEY: decline_record(Decline(1))}), node.number, "train")
    for _ in range(2):  # The second time the round is over.
        reply = node.grid.apps[node.number](message, node.grid.contexts[node.number])
        assert not reply.has_error()
    assert len(events(alone, RoundSkipped)) == 1 and node.calls == 0


def test_a_member_that_was_missing_rejoins_and_trains_in_the_next_round(
    federate: Callable[..., Federation],
) -> None:
    manifest = flower_manifest(rounds={"count": 4, "min_updates": 2})
    federation = federate(manifest)

    def later(seconds: float) -> None:
        state = federation.ledger.task_state(federation.task)
        if grid.lost and state.awaited == 0b100:
            federation.clock.time = state.deadline + 1  # Nobody but the missing member is awaited.
        time.sleep(seconds)

    grid = nodes_of(federation, sleep=later)
    lost = list(grid.apps)[2]
    strategy, genesis = anchored(federation), genesis_record(federation)
    grid.lost = {lost}
    strategy.start(grid, genesis, num_rounds=1)
    grid.lost, grid.first = set(), lost
    grid.has_begun = lambda: bool(events(federation, MemberRejoined))
    strategy.start(grid, genesis, num_rounds=1)
    grid.first = None
    assert [error for error in grid.errors if "does not take part in round 2" in error]
    strategy.start(grid, genesis, num_rounds=1)
    clients = [event.client for event in events(federation, UpdateRevealed) if event.round == 3]
    assert sorted(clients) == sorted(MEMBERS)


def test_the_update_states_what_the_app_measured_and_what_it_ran_on(
    federate: Callable[..., Federation],
) -> None:
    learner = {"metrics": ["train_loss", "eval_loss", "auc"], "requires": ["numpy>=1"]}
    rounds = {"count": 2, "cohort_floor": 1, "min_updates": 1}
    alone = federate(flower_manifest(ALONE, learner=learner, rounds=rounds))
    node, genesis = Node(alone), genesis_record(alone)
    node.ask(genesis, "evaluate")
    reply = node.ask(genesis)
    header = decode_update(alone.store.get(read_anchor(reply.content).digest, 1 << 20)).header
    assert header.metrics == {"train_loss": 1, "eval_loss": Decimal("1.25"), "auc": None}
    assert header.versions == {"numpy": np.__version__}
    (revealed,) = events(alone, UpdateRevealed)
    assert revealed.reveal.held_out_loss == 1_250_000
    assert revealed.reveal.training_loss == 1_000_000


def test_a_package_that_the_task_requires_and_this_machine_lacks_is_named(
    federate: Callable[..., Federation],
) -> None:
    rounds = {"count": 2, "cohort_floor": 1, "min_updates": 1}
    alone = federate(flower_manifest(ALONE, learner={"requires": ["numpy<1"]}, rounds=rounds))
    assert "needs numpy<1" in Node(alone).ask(genesis_record(alone)).error.reason
