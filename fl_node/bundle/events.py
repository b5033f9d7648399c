"""events.json: a task's log as an endpoint gives it, as canonical JSON (docs/protocol.md, "Bundle")."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chain import answers
from chain.answers import Log
from chain.decoding import event_from_log
from chain.errors import HistoryInvalid
from chain.history import logged
from chain.log_reader import MAX_ENTRIES
from chain.text import shown
from chain.types import Address, Entry
from fl_node.blobs.canonical import canonical_json, parse_json
from fl_node.errors import BundleInvalid

MAX_EVENTS_BYTES = 1 << 28
"""The longest events.json that is written or read: some 300,000 entries."""

EXACT = 1 << 53
"""Blocks and places in them are below this, so that every reader of JSON takes them for what they are."""

KEYS = {
    "address", "block", "block_hash", "data", "log_index", "timestamp", "topics", "transaction",
}  # fmt: skip


def events_to_json(entries: Iterable[Entry], contract: Address) -> bytes:
    """Encode a task's log as events.json.

    Args:
        entries: Oldest first.
        contract: Its address.
    """
    return canonical_json(events_to_list(entries, contract))


def events_to_list(entries: Iterable[Entry], contract: Address) -> list[dict[str, Any]]:
    """A task's log as the values of events.json; arguments as for `events_to_json`."""
    return [_to_json(entry, contract) for entry in entries]


def read_events(content: bytes, contract: Address, task: int) -> list[Entry]:
    """Decode an events.json that somebody else wrote. Whether events are missing is for the history head to say.

    Args:
        content: Anything, of at most `MAX_EVENTS_BYTES`.
        contract, task: Whose log it is.

    Returns:
        The entries, oldest first, with the hashes of their blocks.

    Raises:
        BundleInvalid: It is not the one spelling of a log of this task: other keys, an event that is not the
            contract's, another contract or task, an order other than the chain's, or too much.
    """
    if len(content) > MAX_EVENTS_BYTES:
        raise BundleInvalid(f"events.json: {len(content)} bytes, at most {MAX_EVENTS_BYTES}")
    try:
        entries = events_from_list(parse_json(content.decode()), contract, task)
    except (ValueError, HistoryInvalid) as error:
        raise BundleInvalid(f"events.json: {shown(error)}") from None
    if events_to_json(entries, contract) != content:
        raise BundleInvalid("events.json: not spelt as the specification says")
    return entries


def events_from_list(listed: Any, contract: Address, task: int) -> list[Entry]:
    """A task's log from the values of an events.json that somebody else wrote. Whoever calls compares the spelling.

    Args:
        listed: Any JSON.
        contract, task: Whose log it is.

    Raises:
        ValueError, HistoryInvalid: As for `read_events`; the message names the entry.
    """
    if not isinstance(listed, list) or len(listed) > MAX_ENTRIES:
        raise ValueError(f"expected a list of at most {MAX_ENTRIES} entries")
    entries: list[Entry] = []
    last = (-1, -1)
    for index, item in enumerate(listed):
        try:
            entry = _from_json(item, contract)
            position = entry.block_number, entry.log_index
            if entry.event.task != task:
                raise ValueError(f"expected an event of task {task}, got one of {entry.event.task}")
            if position <= last:
                raise ValueError(f"block and log {position} come after {last}")
        except (ValueError, HistoryInvalid) as error:
            raise ValueError(f"entry {index}: {error}") from None
        entries.append(entry)
        last = position
    return entries


def _to_json(entry: Entry, contract: Address) -> dict[str, Any]:
    topics, data = logged(entry.event)
    return {
        "address": contract,
        "block": entry.block_number,
        "block_hash": _hex(entry.block_hash),
        "data": _hex(data),
        "log_index": entry.log_index,
        "timestamp": entry.timestamp,
        "topics": [_hex(topic) for topic in topics],
        "transaction": _hex(entry.transaction),
    }


def _from_json(item: Any, contract: Address) -> Entry:
    if not isinstance(item, dict) or item.keys() != KEYS:
        raise ValueError(f"expected an object with {', '.join(sorted(KEYS))}")
    address, topics = answers.address(item["address"]), item["topics"]
    if address != contract:
        raise ValueError(f"expected a log of {contract}, got one of {address}")
    if not isinstance(topics, list) or len(topics) > 4:
        raise ValueError("expected a list of at most 4 topics")
    log = Log(
        address=address,
        topics=tuple(answers.word(topic) for topic in topics),
        data=answers.data(item["data"]),
        block_number=answers.quantity(item["block"], EXACT),
        block_hash=b"",
        log_index=answers.quantity(item["log_index"], EXACT),
        transaction=b"",
    )
    return Entry(
        event=event_from_log(log),
        block_number=log.block_number,
        log_index=log.log_index,
        timestamp=answers.quantity(item["timestamp"], answers.TIMES),
        transaction=_hash(item["transaction"]),
        block_hash=_hash(item["block_hash"]),
    )


def _hash(value: object) -> bytes | None:
    return None if value is None else answers.word(value)


def _hex(value: bytes | None) -> str | None:
    return None if value is None else "0x" + value.hex()
