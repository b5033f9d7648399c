"""Decodes and checks what the contract gives: events from logs, and a task's state from the view `taskState`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from chain.accounts import to_address
from chain.answers import Log
from chain.errors import HistoryInvalid
from chain.history import ARGUMENTS, REVEAL, TOPICS, event_from_abi
from chain.text import shown
from chain.types import MAX_MEMBERS, Event, Phase, TaskOpened, TaskState, Terms


def event_from_log(log: Log) -> Event:
    """Decode a log of the contract. The indexed arguments of its events come first.

    Raises:
        HistoryInvalid: It is not an event of the contract.
    """
    signature, *indexed = log.topics or (b"",)
    if signature not in TOPICS:
        raise HistoryInvalid(f"a log of an event that is not the contract's: 0x{signature.hex()}")
    event_type = TOPICS[signature]
    types = ARGUMENTS[event_type]
    try:
        values = [decode((kind,), topic)[0] for kind, topic in zip(types, indexed, strict=False)]
        values += decode(types[len(indexed) :], log.data)
        readable = [_checksummed(*pair) for pair in zip(types, values, strict=True)]
        return event_from_abi(event_type, readable)
    except (DecodingError, ValueError, OverflowError) as error:
        why = shown(error)
        raise HistoryInvalid(f"a log of {event_type.__name__} does not decode: {why}") from None


def event_from_folded(task: int, data: bytes) -> Event:
    """Decode the bytes that `chain.history.folded` gave for an event of a task.

    A long history is read so again and again, so events whose fields are words are taken apart by hand.

    Raises:
        HistoryInvalid: They are not of an event of the contract.
    """
    if data[:32] not in TOPICS:
        raise HistoryInvalid(f"an event that is not the contract's: 0x{data[:32].hex()}")
    event_type = TOPICS[data[:32]]
    types = ARGUMENTS[event_type][1:]
    try:
        if event_type is not TaskOpened:
            return event_from_abi(event_type, [task, *_from_words(types, data[32:])])
        # The place of the head before the event counts in the ABI's offsets.
        _, _, *values = decode(("bytes32", "bytes32", *types), bytes(32) + data)
        readable = [_checksummed(*pair) for pair in zip(types, values, strict=True)]
        return event_from_abi(event_type, [task, *readable])
    except (DecodingError, ValueError, OverflowError) as error:
        why = shown(error)
        raise HistoryInvalid(f"an event {event_type.__name__} does not decode: {why}") from None


def _from_words(types: Sequence[str], data: bytes) -> list[Any]:
    """Values of types that take a word each, or a word for each field of a reveal."""
    kinds = [part for kind in types for part in kind.strip("()").split(",")]
    if len(data) != 32 * len(kinds):
        raise ValueError(f"expected {len(kinds)} words, got {len(data)} bytes")
    words = iter([_from_word(kind, data[32 * i : 32 * i + 32]) for i, kind in enumerate(kinds)])
    return [list(islice(words, 5)) if kind == REVEAL else next(words) for kind in types]


def _from_word(kind: str, word: bytes) -> Any:
    match kind:
        case "bytes32":
            return word
        case "address":
            return to_address("0x" + word[12:].hex())
        case _:
            return int.from_bytes(word, "big", signed=kind.startswith("int"))


def _checksummed(kind: str, value: Any) -> Any:
    match kind:
        case "address":
            return to_address(value)
        case "address[]":
            return [to_address(item) for item in value]
        case _:
            return value


def task_state_from(values: Sequence[Any]) -> TaskState:
    """Decode a task's state from the result of the view `taskState`; its addresses may be in any case.

    Raises:
        HistoryInvalid: No task can be in such a state.
    """
    coordinator, manifest, genesis, terms, members, phase, *rest = values
    try:
        state = TaskState(
            to_address(coordinator), manifest, genesis, Terms(*terms), members, Phase(phase), *rest
        )
    except ValueError as error:  # An unknown phase.
        raise HistoryInvalid(
            f"the node shows a task in a state that does not exist: {error}"
        ) from None
    _verify_state(state)
    return state


def _verify_state(state: TaskState) -> None:
    """Check what holds for every opened task."""
    if state.phase is Phase.NONE:
        raise HistoryInvalid("the node shows an open task without a phase")
    if not 1 <= state.member_count <= MAX_MEMBERS:
        raise HistoryInvalid(
            f"the node shows a task of {state.member_count} members, expected 1 to {MAX_MEMBERS}"
        )
    if _bitmaps(state) >> state.member_count:
        raise HistoryInvalid("the node shows bitmaps with more members than the task has")
    if not 1 <= state.round <= state.terms.rounds:
        raise HistoryInvalid(f"the node shows round {state.round} of {state.terms.rounds}")


def _bitmaps(state: TaskState) -> int:
    return state.cohort | state.awaited | state.committed | state.revealed | state.absent
