"""An event in the bytes that are folded into the head: there and back, and nothing else is an event."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.accounts import to_address
from chain.decoding import event_from_folded
from chain.errors import HistoryInvalid
from chain.history import (
    ARGUMENTS,
    REVEAL,
    TERMS,
    event_from_abi,
    first_head,
    fold,
    folded,
    head_after,
)
from chain.types import Event, Phase, RoundAborted, RoundSkipped, TaskOpened, Terms

MEMBER = to_address("0x" + "ab" * 20)


def whole_numbers(kind: str) -> st.SearchStrategy[int]:
    bits = int(kind.removeprefix("u").removeprefix("int"))
    if kind.startswith("u"):
        return st.integers(0, (1 << bits) - 1)
    return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1)


ADDRESSES = st.binary(min_size=20, max_size=20).map(lambda raw: to_address("0x" + raw.hex()))


def values(kind: str) -> st.SearchStrategy[Any]:
    match kind:
        case "address":
            return ADDRESSES
        case "address[]":
            return st.lists(ADDRESSES, max_size=5)
        case "bytes32":
            return st.binary(min_size=32, max_size=32)
        case _ if kind in (REVEAL, TERMS):
            return st.tuples(*map(values, kind.strip("()").split(",")))
        case _:
            return whole_numbers(kind)


def events(event_type: type[Event]) -> st.SearchStrategy[Event]:
    drawn = [values(kind) for kind in ARGUMENTS[event_type]]
    if event_type is RoundAborted:
        drawn[-1] = st.sampled_from(Phase)
    return st.tuples(*drawn).map(lambda given: event_from_abi(event_type, given))


@given(st.data(), st.sampled_from(list(ARGUMENTS)))
def test_there_and_back(data: st.DataObject, event_type: type[Event]) -> None:
    event = data.draw(events(event_type))
    assert event_from_folded(event.task, folded(event)) == event


@given(st.data(), st.sampled_from(list(ARGUMENTS)))
def test_the_head_follows_from_the_bytes(data: st.DataObject, event_type: type[Event]) -> None:
    event, head = data.draw(events(event_type)), first_head(1, MEMBER, 1)
    assert head_after(head, folded(event)) == fold(head, event)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(64),
        folded(RoundSkipped(1, 1, MEMBER))[:-1],
        folded(RoundSkipped(1, 1, MEMBER)) + bytes(32),
        folded(RoundAborted(1, 1, 0, Phase.COMMIT))[:-1] + b"\x09",
        folded(TaskOpened(1, MEMBER, bytes(32), bytes(32), (), Terms(*[1] * 8)))[:-32],
    ],
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(HistoryInvalid):
        event_from_folded(1, data)
