"""The reference as a program of the conformance suite: `python.py VERB FOLDER...` (tests/conformance/README.md)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chain.files import mapped, read_file, regular_file
from chain.history import commitment_of, head_of
from chain.types import Address, Entry, TaskState, UpdateCommitted, UpdateRevealed
from fl_node.audit import audit
from fl_node.blobs.canonical import canonical_json
from fl_node.blobs.digest import digest_of
from fl_node.blobs.model import load_model
from fl_node.blobs.reader import verify_size
from fl_node.bundle.events import MAX_EVENTS_BYTES, read_events
from fl_node.bundle.state import MAX_STATE_BYTES, read_state
from fl_node.errors import BadData, BlobMissing, BlobTampered, BundleInvalid, UpdateInvalid
from fl_node.history.record import RecordedRound, final_rounds, members_in
from fl_node.manifest.manifest import MAX_MANIFEST_BYTES, parse_manifest
from fl_node.round.aggregate import Aggregated, aggregate_round

STEPS = ("A2", "A3", "A4", "A5", "A6", "A7", "A8")

Answer = dict[str, Any]


class Blobs:
    """The store of a case."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, digest: bytes, max_bytes: int) -> memoryview:
        """Read a blob; raises what `fl_node.blobs.store.Store.get` raises."""
        name = digest.hex()
        try:
            with regular_file(self._folder / name) as descriptor:
                blob = mapped(descriptor)
        except FileNotFoundError:
            raise BlobMissing(f"blob {name} is not in the case") from None
        verify_size(name, len(blob), max_bytes)
        if digest_of(blob) != digest:
            raise BlobTampered(f"blob {name} hashes to {digest_of(blob).hex()}")
        return blob


@dataclass(frozen=True)
class Case:
    """A case as the audit's ledger and store.

    Attributes:
        chain_id, contract, task: Whose log it is.
        state: What the contract says of the task.
        entries: Its log.
        blobs: Its store.
    """

    chain_id: int
    contract: Address
    task: int
    state: TaskState
    entries: tuple[Entry, ...]
    blobs: Blobs

    def task_state(self, task: int) -> TaskState:
        return self.state

    def history(self, task: int, from_block: int = 0) -> Iterator[Entry]:
        return (entry for entry in self.entries if entry.block_number >= from_block)


def read_case(folder: Path) -> Case:
    """Read a case.

    Raises:
        BundleInvalid: A log is none of the task's.
    """
    given = read_state(read_file(folder / "state.json", MAX_STATE_BYTES))
    logs = read_file(folder / "events.json", MAX_EVENTS_BYTES)
    entries = tuple(read_events(logs, given.contract, given.task))
    blobs = Blobs(folder / "blobs")
    return Case(given.chain_id, given.contract, given.task, given.view, entries, blobs)


def head(case: Case) -> Answer:
    """The history head."""
    folded = head_of(case.chain_id, case.contract, case.task, case.entries)
    return {"head": _hex(folded)} if folded == case.state.history_head else {"finding": "A2"}


def commitment(case: Case) -> Answer:
    """The commitment of each reveal."""
    found, committed = [], {}
    for entry in case.entries:
        match entry.event:
            case UpdateCommitted(_, round, client, value):
                committed[round, client] = value
            case UpdateRevealed(task, round, client, opening):
                made = commitment_of(case.chain_id, case.contract, task, round, client, opening)
                if committed.get((round, client)) != made:
                    return {"finding": "A3"}
                found.append(_hex(made))
    return {"commitments": found}


def validate(case: Case) -> Answer:
    """What is wrong with each update that a final round revealed."""
    return {
        "updates": [
            {
                "round": revealed.round,
                "client": revealed.client,
                "left_out_because": _rule(aggregated.left_out.get(revealed.client)),
            }
            for recorded, aggregated, _ in _rounds(case)
            for revealed in recorded.reveals
        ]
    }


def aggregate(case: Case) -> Answer:
    """What each final round comes to."""
    rounds = []
    for recorded, aggregated, members in _rounds(case):
        number = recorded.opened.round
        if aggregated.digest != recorded.finalised.aggregate_digest:
            return {"finding": "A7", "round": number}
        included = list(members_in(members, aggregated.included))
        rounds.append({"round": number, "aggregate": _hex(aggregated.digest), "included": included})
    return {"rounds": rounds}


def audited(case: Case) -> Answer:
    """Steps A2 to A8."""
    report = audit(lambda: case, case.blobs, case.task)  # type: ignore[arg-type,return-value]
    return {
        "steps": {step: report.statuses[step].value for step in STEPS},
        "findings": [
            list(one) for one in sorted({(f.step, f.round or 0) for f in report.findings})
        ],
        "final_digest": _hex(case.state.parent_digest),
    }


VERBS: dict[str, Callable[[Case], Answer]] = {
    "head": head,
    "commitment": commitment,
    "validate": validate,
    "aggregate": aggregate,
    "audit": audited,
}


def answer(verb: str, folder: Path) -> Answer:
    """The answer to a verb about a case."""
    try:
        case = read_case(folder)
    except BundleInvalid:
        return {"invalid": "log"}
    return VERBS[verb](case)


def questions(arguments: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """The questions of a call, or, if it has none, of the lines of standard input."""
    if arguments:
        yield from ((arguments[0], Path(folder)) for folder in arguments[1:])
        return
    for line in sys.stdin:
        verb, _, folder = line.removesuffix("\n").partition(" ")
        yield verb, Path(folder)


def _rounds(case: Case) -> Iterator[tuple[RecordedRound, Aggregated, tuple[Address, ...]]]:
    state = case.state
    manifest = parse_manifest(bytes(case.blobs.get(state.manifest_digest, MAX_MANIFEST_BYTES)))
    for recorded in final_rounds(case.entries):
        most = manifest.limits.model_bytes
        parent = load_model(case.blobs, recorded.opened.parent_digest, most)
        found = (recorded.reveals, recorded.abandoned)
        yield recorded, aggregate_round(case.blobs, manifest, parent, *found), manifest.addresses


def _rule(fault: BadData | None) -> str | None:
    """The rule's name in docs/protocol.md."""
    if fault is None or isinstance(fault, UpdateInvalid):
        return fault and fault.rule
    return type(fault).__name__.removeprefix("Blob").lower()


def _hex(value: bytes) -> str:
    return "0x" + value.hex()


if __name__ == "__main__":
    for verb, folder in questions(sys.argv[1:]):
        print(canonical_json(answer(verb, folder)).decode(), flush=True)
