"""Cases of `head`: logs that lead to the contract's history head, and logs that do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from cases.case import Case, Log, case_of, logs_of, word
from cases.history import History
from cases.samples import (
    ALICE,
    BOB,
    CAROL,
    STRANGER,
    everyone,
    history_of,
    manifest_of,
    members,
    played,
)
from chain.accounts import to_address
from chain.history import first_head, head_of

LOST = {"finding": "A2"}
NO_LOG = {"invalid": "log"}


def cases() -> Iterator[Case]:
    """The verb's cases."""
    yield from _leading()
    yield from _not_leading()
    yield from _no_logs()


def eventful() -> History:
    """Two rounds with every kind of event."""
    history = history_of(manifest_of(rounds={"count": 2}))
    history.commit({ALICE: everyone(history)[ALICE]}, missing=[BOB, CAROL])
    history.abort()  # Two are absent, which is fewer than the floor: both are forgiven.
    sent = everyone(history)
    history.commit({ALICE: sent[ALICE], BOB: sent[BOB]}, missing=[CAROL])
    history.pass_deadline()
    history.reveal({ALICE: sent[ALICE], BOB: sent[BOB]})
    history.finish()
    history.rejoin(CAROL)
    history.commit({BOB: everyone(history)[BOB]})  # One is too few.
    return played(history)


def _leading() -> Iterator[Case]:
    yield _case("one_round", played(history_of()))
    yield _case("every_event", eventful())
    yield _case("just_opened", history_of())
    yield _case("all_declined", _declined())
    yield _case("another_chain", history_of(chain_id=(1 << 63) - 1))
    yield _case("another_contract", history_of(contract=to_address("0x" + "ff" * 20)))
    yield _case("96_members", history_of(manifest_of(who=members(96))))
    yield _case("one_member", played(_alone()))
    yield _in_task("largest_task", (1 << 256) - 1)


def _declined() -> History:
    history = history_of()
    history.commit({})
    return history


def _alone() -> History:
    alone = {"cohort_floor": 1, "min_updates": 1}
    return history_of(manifest_of(who=(ALICE,), rounds=alone))


def _not_leading() -> Iterator[Case]:
    history = played(history_of())
    logs = logs_of(history.contract, history.entries)
    yield _lost("event_missing", history, logs[:3] + logs[4:])
    yield _lost("last_event_missing", history, logs[:-1])
    yield _lost("opening_missing", history, logs[1:])
    yield _lost("no_events", history, ())
    yield _lost("events_swapped", history, _swapped(logs, 2, 3))
    yield _lost("event_twice", history, _twice(logs, 2))
    yield _lost("digest_altered", history, _altered(logs, 2, data=word(7)))
    yield _lost("client_altered", history, _altered(logs, 2, topic=(3, word(int(STRANGER, 16)))))
    yield _lost("round_altered", history, _altered(logs, 2, topic=(2, word(2))))
    yield _lost("another_chain", replace(history, chain_id=1), logs, history)
    other = replace(history, contract=to_address(STRANGER))
    moved = [{**log, "address": STRANGER} for log in logs]
    yield _lost("another_contract", other, moved, history)
    yield case_of("head", "first_head_fail", history, LOST, history_head=_first(history))


def _no_logs() -> Iterator[Case]:
    history = played(history_of())
    logs = logs_of(history.contract, history.entries)
    data = logs[2]["data"]
    ways: dict[str, dict[str, Any]] = {
        "unknown_event": {"topic": (0, word(1))},
        "another_address": {"address": STRANGER},
        "another_task": {"topic": (1, word(2))},
        "round_too_large": {"topic": (2, word(1 << 16))},
        "address_too_large": {"topic": (3, word(1 << 160))},
        "data_too_short": {"data": data[:-2]},
        "data_too_long": {"data": data + "00" * 32},
        "no_data": {"data": "0x"},
        "topic_too_few": {"topics": logs[2]["topics"][:3]},
        "no_topics": {"topics": []},
        "before_the_one_before": {"block": 1},
    }
    for name, changes in ways.items():
        yield case_of("head", f"{name}_fail", history, NO_LOG, logs=_altered(logs, 2, **changes))
    phase = [log for log in logs if len(log["topics"]) == 2]
    assert phase, "an event with one indexed argument"
    yield _again("same_place_twice", history, logs)


def _again(name: str, history: History, logs: Sequence[Log]) -> Case:
    shown = [*logs[:3], logs[2], *logs[3:]]
    return case_of("head", f"{name}_fail", history, NO_LOG, logs=shown)


def _case(name: str, history: History) -> Case:
    return case_of("head", name, history, {"head": "0x" + history.state.history_head.hex()})


def _in_task(name: str, task: int) -> Case:
    """The log of a task of another number, as far as `head` looks at it."""
    history = played(history_of())
    head = head_of(history.chain_id, history.contract, task, history.entries)
    case = case_of("head", name, history, {"head": "0x" + head.hex()}, history_head=head)
    topics = [[log["topics"][0], word(task), *log["topics"][2:]] for log in case.logs]
    logs = [{**log, "topics": own} for log, own in zip(case.logs, topics, strict=True)]
    return replace(case, logs=tuple(logs), state={**case.state, "task": task})


def _lost(name: str, history: History, logs: Sequence[Log], truth: History | None = None) -> Case:
    head = (truth or history).state.history_head
    return case_of("head", f"{name}_fail", history, LOST, logs=logs, history_head=head)


def _first(history: History) -> bytes:
    return first_head(history.chain_id, history.contract, 1)


def _altered(
    logs: Sequence[Log], at: int, topic: tuple[int, str] | None = None, **changes: Any
) -> list[Log]:
    """The logs with one of them changed."""
    log = {**logs[at], **changes}
    if topic:
        log["topics"] = [*log["topics"][: topic[0]], topic[1], *log["topics"][topic[0] + 1 :]]
    return [*logs[:at], log, *logs[at + 1 :]]


PLACE = ("block", "block_hash", "log_index", "timestamp", "transaction")


def _swapped(logs: Sequence[Log], one: int, other: int) -> list[Log]:
    """The logs with two events in each other's place."""
    places = [{name: log[name] for name in PLACE} for log in logs]
    order = list(range(len(logs)))
    order[one], order[other] = other, one
    return [{**logs[at], **place} for at, place in zip(order, places, strict=True)]


def _twice(logs: Sequence[Log], at: int) -> list[Log]:
    """The logs with an event repeated, one block later each from there on."""
    later = [{**log, "block": log["block"] + 1} for log in logs[at:]]
    return [*logs[: at + 1], *later]
