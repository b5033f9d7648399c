"""A case of the conformance suite, and the files that it is written as (tests/conformance/README.md)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cases.history import History
from chain.history import head_of
from chain.types import Address, Entry, RoundOpened, TaskState
from fl_node.blobs.canonical import canonical_json
from fl_node.blobs.digest import digest_of
from fl_node.bundle.events import events_to_json
from fl_node.bundle.state import RecordedState, state_to_json

Log = dict[str, Any]

TASK = 1


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
    head = head_of(history.chain_id, history.contract, TASK, log)
    given = replace(history.state, **{"history_head": head, **state})
    blobs = _blobs_for(verb, history)
    shown = logs_of(history.contract, log) if logs is None else tuple(logs)
    return Case(verb, name, expected, shown, state_of(history, given), blobs)


def _blobs_for(verb: str, history: History) -> dict[str, bytes]:
    """The blobs that a verb needs: none, all, or all but the model that no round starts from."""
    if verb in ("head", "commitment"):
        return {}
    opened = {e.event.parent_digest for e in history.entries if isinstance(e.event, RoundOpened)}
    last = history.state.parent_digest
    if verb == "audit" or last in opened:
        return dict(history.blobs)
    return {name: blob for name, blob in history.blobs.items() if name != last.hex()}


def state_of(history: History, state: TaskState) -> Log:
    """The content of state.json."""
    recorded = RecordedState(history.chain_id, history.contract, TASK, state)
    return dict(json.loads(state_to_json(recorded)))


def logs_of(contract: Address, entries: Iterable[Entry]) -> tuple[Log, ...]:
    """The content of events.json; the hashes that a ledger in memory lacks follow from the block's number."""
    made = [
        replace(
            entry,
            block_hash=digest_of(b"block %d" % entry.block_number),
            transaction=digest_of(b"transaction %d" % entry.block_number),
        )
        for entry in entries
    ]
    return tuple(json.loads(events_to_json(made, contract)))


def word(number: int) -> str:
    """A number as a topic, or as a word of data."""
    return "0x" + number.to_bytes(32, "big").hex()
