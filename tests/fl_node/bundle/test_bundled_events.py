"""events.json and state.json: the one spelling of a task's log and of what the contract's view shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from doubles import Federation

from chain.artifact import load_artifact
from chain.history import ARGUMENTS, INDEXED, head_of, logged
from chain.types import Address, Entry
from fl_node.blobs.canonical import canonical_json
from fl_node.bundle.events import events_to_json, read_events
from fl_node.bundle.state import RecordedState, read_state, state_to_json
from fl_node.errors import BundleInvalid

HASH = bytes(range(32))
OTHER = Address("0x000000000000000000000000000000000000dEaD")


def log_of(federation: Federation) -> list[Entry]:
    entries = federation.ledger.history(federation.task)
    return [replace(entry, block_hash=HASH, transaction=HASH[::-1]) for entry in entries]


def spelt(federation: Federation) -> bytes:
    return events_to_json(log_of(federation), federation.ledger.contract)


def read(federation: Federation, content: bytes) -> list[Entry]:
    return read_events(content, federation.ledger.contract, federation.task)


def state_of(federation: Federation) -> RecordedState:
    ledger = federation.ledger
    view = ledger.task_state(federation.task)
    return RecordedState(ledger.chain_id, ledger.contract, federation.task, view)


def test_the_indexed_arguments_are_the_contracts() -> None:
    for item in load_artifact().abi:
        if item["type"] == "event":
            for argument in item["inputs"]:
                assert (argument["name"] in INDEXED) == argument["indexed"]


class TestEvents:
    def test_a_log_comes_back_as_it_was(self, finished: Federation) -> None:
        entries, back = log_of(finished), read(finished, spelt(finished))
        assert back == entries
        assert [entry.block_hash for entry in back] == [entry.block_hash for entry in entries]

    def test_what_the_ledger_does_not_know_is_null(self, finished: Federation) -> None:
        plain = finished.ledger.history(finished.task)
        content = events_to_json(plain, finished.ledger.contract)
        first = json.loads(content)[0]
        assert first["transaction"] is first["block_hash"] is None
        assert tuple(read(finished, content)) == plain

    def test_it_folds_to_the_contracts_head(self, finished: Federation) -> None:
        ledger, task = finished.ledger, finished.task
        back = read(finished, spelt(finished))
        head = head_of(ledger.chain_id, ledger.contract, task, back)
        assert head == ledger.task_state(task).history_head

    def test_every_event_has_its_name_first_and_the_task_second(self, finished: Federation) -> None:
        for entry in log_of(finished):
            topics, data = logged(entry.event)
            assert topics[1] == finished.task.to_bytes(32, "big")
            assert len(topics) <= 4 and len(data) % 32 == 0
            assert len(topics) + len(data) // 32 >= len(ARGUMENTS[type(entry.event)])

    @pytest.mark.parametrize(
        ("spoil", "says"),
        [
            (lambda log: log.reverse(), "come after"),
            (lambda log: log.insert(1, log[0]), "come after"),
            (lambda log: log[0].pop("data"), "expected an object with"),
            (lambda log: log[0].update(more=1), "expected an object with"),
            (lambda log: log[1].update(address=OTHER), "expected a log of"),
            (lambda log: log[1].update(address=log[1]["address"].lower()), "not spelt"),
            (lambda log: log[1].update(data=log[1]["data"].upper().replace("X", "x")), "not spelt"),
            (lambda log: log[1].update(data=log[1]["data"] + "00" * 32), "not spelt"),
            (lambda log: log[1].update(data=log[1]["data"][:-64]), "does not decode"),
            (lambda log: log[1].update(data="0x0"), "expected bytes in hex"),
            (lambda log: log[1].update(block="0x1"), "not spelt"),
            (lambda log: log[1].update(block=-1), "expected a number"),
            (lambda log: log[1].update(block=True), "expected a number"),
            (lambda log: log[1].update(timestamp=1 << 40), "expected a number"),
            (lambda log: log[1].update(topics=[]), "not the contract's"),
            (lambda log: log[1].update(topics=None), "expected a list"),
            (lambda log: log[1]["topics"].__setitem__(1, "0x" + "00" * 32), "an event of task"),
            (lambda log: log[1]["topics"].__setitem__(0, "0x" + "00" * 32), "not the contract's"),
            (lambda log: log[1]["topics"].append("0x" + "00" * 32), "does not decode"),
            (lambda log: log.__setitem__(0, [[]]), "expected an object with"),
        ],
    )
    def test_any_other_spelling_is_refused(
        self, finished: Federation, spoil: Callable[[Any], object], says: str
    ) -> None:
        log = json.loads(spelt(finished))
        spoil(log)
        with pytest.raises(BundleInvalid, match=says):
            read(finished, canonical_json(log))

    @pytest.mark.parametrize(
        "content",
        [b"", b"{}", b"\xff", b"[1]", b"[1.5]", b"[NaN]", b"[" * 100_000, b"[] ", b"null"],
    )
    def test_what_is_no_list_of_entries_is_refused(
        self, finished: Federation, content: bytes
    ) -> None:
        with pytest.raises(BundleInvalid, match=r"^events\.json: "):
            read(finished, content)


class TestState:
    def test_comes_back_as_it_was(self, finished: Federation) -> None:
        state = state_of(finished)
        assert read_state(state_to_json(state)) == state

    def test_names_the_head_beside_the_view(self, finished: Federation) -> None:
        said = json.loads(state_to_json(state_of(finished)))
        head = finished.ledger.task_state(finished.task).history_head
        assert said["head"] == "0x" + head.hex()
        assert said["view"]["terms"]["rounds"] == finished.manifest.rounds.count
        assert "history_head" not in said["view"]

    @pytest.mark.parametrize(
        ("spoil", "says"),
        [
            (lambda state: state.pop("head"), "state: expected an object"),
            (lambda state: state.update(more=1), "state: expected an object"),
            (lambda state: state["view"].pop("round"), "view: expected an object"),
            (lambda state: state["view"]["terms"].pop("rounds"), "terms: expected an object"),
            (lambda state: state["view"].update(terms=[1]), "terms: expected an object"),
            (lambda state: state["view"].update(round=0), "shows round 0"),
            (lambda state: state["view"].update(round="0x1"), "not spelt"),
            (lambda state: state["view"].update(phase=9), "does not exist"),
            (lambda state: state["view"].update(member_count=0), "of 0 members"),
            (lambda state: state["view"].update(cohort=1 << 95), "more members"),
            (lambda state: state["view"].update(cohort=1 << 96), "cohort: expected a number"),
            (lambda state: state["view"].update(parent_digest="0x00"), "expected 32 bytes"),
            (lambda state: state["view"].update(coordinator="0x\x1b[2J"), "coordinator"),
            (lambda state: state.update(task=1 << 256), "expected a number"),
            (lambda state: state.update(chain_id=-1), "expected a number"),
            (lambda state: state.update(contract=state["contract"].lower()), "not spelt"),
        ],
    )
    def test_any_other_is_refused(
        self, finished: Federation, spoil: Callable[[Any], object], says: str
    ) -> None:
        state = json.loads(state_to_json(state_of(finished)))
        spoil(state)
        with pytest.raises(BundleInvalid, match=says) as refused:
            read_state(canonical_json(state))
        assert str(refused.value).isprintable()
