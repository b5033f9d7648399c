"""A Flower server whose aggregate is that of the chain."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from doubles import MEMBERS, Federation, small_manifest
from flower_federation import (
    ThreadGrid,
    anchored,
    flower_manifest,
    genesis_record,
    message_to,
    moving_app,
    nodes_of,
)
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAvg

from chain.types import Entry, Phase, RoundFinalised, RoundSkipped
from fl_node.audit import audit
from fl_node.blobs.digest import digest_of
from fl_node.blobs.model import encode_model
from fl_node.errors import Misuse
from fl_node.flower.records import KEY, array_record, received_arrays


@pytest.fixture
def federation(federate: Callable[..., Federation]) -> Federation:
    return federate(flower_manifest())


def digest_in(record: ArrayRecord) -> bytes:
    return digest_of(encode_model(received_arrays(RecordDict({"arrays": record}))))


def final_digest(federation: Federation) -> bytes:
    state = federation.ledger.task_state(federation.task)
    assert state.phase is Phase.FINISHED
    return state.parent_digest


def included(federation: Federation) -> list[int]:
    events = (entry.event for entry in federation.ledger.history(federation.task))
    return [event.included for event in events if isinstance(event, RoundFinalised)]


def verify_clean(federation: Federation) -> None:
    report = audit(lambda: federation.ledger, federation.store, federation.task)
    assert not report.findings and report.reasons.keys() == {"A9"}


def average(**knobs: Any) -> FedAvg:
    return FedAvg(min_train_nodes=1, min_evaluate_nodes=1, min_available_nodes=1, **knobs)


def test_the_set_that_the_members_revealed_is_the_set_that_the_server_averaged(
    federation: Federation,
) -> None:
    grid = nodes_of(federation, verify=True)
    result = anchored(federation).start(grid, genesis_record(federation), num_rounds=2)
    assert not grid.errors
    assert digest_in(result.arrays) == final_digest(federation)
    assert included(federation) == [0b111, 0b111]
    first, second = audit(lambda: federation.ledger, federation.store, federation.task).rounds
    assert (first.training_loss, second.training_loss) == (1_000_000, 500_000)
    evaluated = 1_000_000 * result.evaluate_metrics_clientapp[1]["eval_loss"]
    assert first.held_out_loss == 0, "nobody had evaluated the genesis"
    assert second.held_out_loss == pytest.approx(evaluated, abs=1)
    assert result.train_metrics_clientapp[2]["train_loss"] == pytest.approx(0.5)
    assert len(result.evaluate_metrics_clientapp) == 2
    verify_clean(federation)


class InOrder(ThreadGrid):
    """Its replies come in the order of the messages."""

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        return list(super().send_and_receive(messages, timeout=timeout))[::-1]


def test_the_order_of_the_replies_changes_no_byte(federate: Callable[..., Federation]) -> None:
    digests = set()
    for kind in (ThreadGrid, InOrder):
        federation = federate(flower_manifest(), kind.__name__)
        nodes = nodes_of(federation)
        anchored(federation).start(
            kind(nodes.apps, nodes.contexts), genesis_record(federation), num_rounds=2
        )
        digests.add(final_digest(federation))
    assert len(digests) == 1


def test_a_server_that_evaluates_nobody_still_has_its_rounds_attested(
    federation: Federation,
) -> None:
    grid = nodes_of(federation, app=lambda mods: moving_app(mods, evaluates=False))
    strategy = anchored(federation, average(fraction_evaluate=0.0))
    strategy.start(grid, genesis_record(federation), num_rounds=2)
    assert not grid.errors
    verify_clean(federation)
    assert included(federation) == [0b111, 0b111]


def test_nobody_waits_for_a_node_that_the_server_did_not_choose(
    federate: Callable[..., Federation],
) -> None:
    federation = federate(flower_manifest(rounds={"count": 2, "min_updates": 2}))
    start, grid = federation.clock.time, nodes_of(federation)
    strategy = anchored(federation, average(fraction_train=0.7))
    strategy.start(grid, genesis_record(federation), num_rounds=2)
    assert [bitmap.bit_count() for bitmap in included(federation)] == [2, 2]
    skips = [entry.event for entry in federation.ledger.history(federation.task)
             if isinstance(entry.event, RoundSkipped)]  # fmt: skip
    assert len(skips) == 2 and federation.clock.time == start
    verify_clean(federation)


class Meddling(ThreadGrid):
    """The first reply of every kind claims another update than its member revealed."""

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        replies = list(super().send_and_receive(messages, timeout=timeout))
        if KEY in replies[0].content:
            replies[0].content[KEY] = ConfigRecord(
                {"address": MEMBERS[2], "digest": "ab" * 32, "round": 1}
            )
        return replies


def test_an_odd_reply_does_not_count_and_ends_nothing(
    federation: Federation, caplog: pytest.LogCaptureFixture
) -> None:
    nodes = nodes_of(federation)
    grid = Meddling(nodes.apps, nodes.contexts)
    anchored(federation).start(grid, genesis_record(federation), num_rounds=2)
    assert "its reply says abab" in caplog.text
    verify_clean(federation)
    assert included(federation) == [0b111, 0b111], "the aggregate comes from the chain"


class Unhappy(FedAvg):
    """Cannot sum anything up."""

    def aggregate_train(self, *_: Any) -> Any:
        raise ValueError("no sum")

    def aggregate_evaluate(self, *_: Any) -> MetricRecord | None:
        raise ValueError("no sum")


def test_metrics_that_cannot_be_summed_up_end_nothing(
    federation: Federation, caplog: pytest.LogCaptureFixture
) -> None:
    inner = Unhappy(min_train_nodes=1, min_evaluate_nodes=1, min_available_nodes=1)
    grid = nodes_of(federation)
    result = anchored(federation, inner).start(grid, genesis_record(federation), num_rounds=2)
    assert "cannot be summed up: no sum" in caplog.text
    assert digest_in(result.arrays) == final_digest(federation)


def test_a_server_goes_on_where_the_task_is_whatever_it_starts_with(
    federation: Federation,
) -> None:
    genesis = received_arrays(RecordDict({"arrays": genesis_record(federation)}))
    random = {name: np.full_like(array, 7) for name, array in genesis.items()}
    for _ in range(2):  # Started, killed after a round, started again.
        grid = nodes_of(federation)
        anchored(federation).start(grid, array_record(random, random), num_rounds=1)
        assert not grid.errors
    final_digest(federation)
    verify_clean(federation)


def test_a_server_reads_only_what_is_new_of_the_log_also_when_it_starts_again(
    federation: Federation, tmp_path: Path
) -> None:
    read: set[int] = set()
    history = federation.ledger.history

    def noted(task: int, from_block: int = 0) -> Iterable[Entry]:
        read.update(entry.block_number for entry in history(task, from_block))
        return history(task, from_block)

    federation.ledger.history = noted  # type: ignore[method-assign, assignment]
    last = 0
    for _ in range(2):
        read.clear()
        server = anchored(federation, folder=tmp_path / "server")
        server.start(nodes_of(federation), genesis_record(federation), num_rounds=1)
        assert min(read) >= last  # The last block that was read is read again: it may have more.
        last = max(read)
    final_digest(federation)


def test_a_round_that_a_killed_server_left_open_is_attested_first(federation: Federation) -> None:
    grid, killed = nodes_of(federation), anchored(federation)
    messages = killed.configure_train(1, genesis_record(federation), ConfigRecord(), grid)
    killed.aggregate_train(1, grid.send_and_receive(messages))
    assert federation.ledger.task_state(federation.task).phase is Phase.ATTEST
    anchored(federation).start(grid, genesis_record(federation), num_rounds=1)
    assert included(federation) == [0b111, 0b111]
    verify_clean(federation)


def test_arrays_of_another_form_than_the_tasks_are_refused(federation: Federation) -> None:
    other = {"weight": np.zeros(2, np.float32)}
    with pytest.raises(Misuse, match="differ in names, shapes or dtypes from those of task 1"):
        anchored(federation).start(nodes_of(federation), array_record(other, other), num_rounds=1)


def test_a_finished_task_trains_nobody(federation: Federation) -> None:
    grid = nodes_of(federation)
    anchored(federation).start(grid, genesis_record(federation), num_rounds=4)
    assert not grid.errors
    assert included(federation) == [0b111, 0b111]
    calls = {int(context.state["calls"]["calls"]) for context in grid.contexts.values()}
    assert calls == {2}


def test_arrays_keep_the_order_that_the_app_gave_them(federation: Federation) -> None:
    genesis = received_arrays(RecordDict({"arrays": genesis_record(federation)}))
    order = sorted(genesis, reverse=True)
    result = anchored(federation).start(
        nodes_of(federation), array_record(genesis, order), num_rounds=1
    )
    assert list(result.arrays) == order


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"learner": {"kind": "gan"}}, 'learner.kind = "gan"'),
        ({"strategy": {"combine": "momentum"}}, "momentum keeps a state beside the model"),
    ],
    ids=["no app", "a server with a memory"],
)
def test_a_task_that_flowers_messages_cannot_carry_is_refused(
    federate: Callable[..., Federation], changes: dict[str, Any], why: str
) -> None:
    manifest = small_manifest(**changes) if "learner" in changes else flower_manifest(**changes)
    federation = federate(manifest)
    with pytest.raises(Misuse, match=why):
        anchored(federation)
    grid = nodes_of(federation)
    (node, *_) = grid.apps
    reply = grid.apps[node](message_to(node, genesis_record(federation)), grid.contexts[node])
    assert why in reply.error.reason
