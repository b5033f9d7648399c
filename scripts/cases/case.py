"""A case of the conformance suite, and the files that it is written as (tests/conformance/README.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, astuple, dataclass, field, replace
from typing import Any

from eth_abi.abi import encode

from cases.history import History
from chain.history import ARGUMENTS, SELECTORS, first_head, fold
from chain.types import Address, Entry, TaskState
from fl_node.blobs.canonical import canonical_json
from fl_node.blobs.digest import digest_of

Log = dict[str, Any]

TASK = 1
INDEXED = ("task", "round", "client", "member", "coordinator")
"""The fields of events that are topics."""


@dataclass(frozen=True)
class Case:
    """A case.

    Attributes:
        verb: What is asked.
        name: Says what is special about it; ends with `_fail` if something is wrong.
        expected: What the answer must hold.
        logs: Of events.json.
        state: Of state.json.
        blobs: Digest in hex to bytes, which may be others'.
    """

    verb: str
    name: str
    expected: Mapping[str, Any]
    logs: tuple[Log, ...]
    state: Mapping[str, Any]
    blobs: Mapping[str, bytes] = field(default_factory=dict)

    def files(self) -> dict[str, bytes]:
        """Path under `cases/` to content."""
        values = {"events": list(self.logs), "state": self.state, "expected": self.expected}
        texts = {f"{name}.json": canonical_json(value) for name, value in values.items()}
        blobs = {f"blobs/{name}": blob for name, blob in self.blobs.items()}
        return {
            f"{self.verb}/{self.name}/{name}": text for name, text in {**texts, **blobs}.items()
        }


def case_of(
    verb: str,
    name: str,
    history: History,
    expected: Mapping[str, Any],
    entries: Iterable[Entry] | None = None,
    logs: Iterable[Log] | None = None,
    **state: Any,
) -> Case:
    """A case about a history.

    Args:
        verb, name, expected: Of the case.
        history: What was played.
        entries: The log; None for the history's own. The head is what folding it gives.
        logs: The same as an endpoint gives it, if that differs.
        state: Fields of the task's state that are others than the contract's.
    """
    log = history.entries if entries is None else tuple(entries)
    head = history.state.history_head if entries is None else folded(history, log)
    given = replace(history.state, **{"history_head": head, **state})
    blobs = {} if verb in ("head", "commitment") else dict(history.blobs)
    shown = logs_of(history.contract, log) if logs is None else tuple(logs)
    return Case(verb, name, expected, shown, state_of(history, given), blobs)


def folded(history: History, entries: Iterable[Entry]) -> bytes:
    """The head that a log of the history's task leads to."""
    head = first_head(history.chain_id, history.contract, TASK)
    for entry in entries:
        head = fold(head, entry.event)
    return head


def state_of(history: History, state: TaskState) -> dict[str, Any]:
    """The content of state.json."""
    view = {name: _plain(value) for name, value in asdict(state).items()}
    head = view.pop("history_head")
    site = {"chain_id": history.chain_id, "contract": history.contract, "task": TASK}
    return {**site, "head": head, "view": view}


def logs_of(contract: Address, entries: Iterable[Entry]) -> tuple[Log, ...]:
    """Entries as logs."""
    return tuple(log_of(contract, entry) for entry in entries)


def log_of(contract: Address, entry: Entry) -> Log:
    """An entry as the log of a contract; what a ledger in memory lacks is made up from the block's number."""
    event = entry.event
    names, types = list(event.__dataclass_fields__), ARGUMENTS[type(event)]
    pairs = list(zip(names, types, astuple(event), strict=True))
    topics = [encode([kind], [value]) for name, kind, value in pairs if name in INDEXED]
    others = [(kind, value) for name, kind, value in pairs if name not in INDEXED]
    data = encode([kind for kind, _ in others], [value for _, value in others])
    return {
        "address": contract,
        "topics": [_plain(topic) for topic in [SELECTORS[type(event)], *topics]],
        "data": _plain(data),
        "block": entry.block_number,
        "block_hash": _plain(digest_of(b"block %d" % entry.block_number)),
        "log_index": entry.log_index,
        "timestamp": entry.timestamp,
        "transaction": _plain(digest_of(b"transaction %d" % entry.block_number)),
    }


def word(number: int) -> str:
    """A number as a topic, or as a word of data."""
    return _plain(number.to_bytes(32, "big"))


def _plain(value: Any) -> Any:
    return "0x" + value.hex() if isinstance(value, bytes) else value
