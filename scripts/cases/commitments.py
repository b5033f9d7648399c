"""Cases of `commitment`: openings at the edges of their types, and openings of other commitments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from cases.case import Case, case_of
from cases.heads import eventful
from cases.history import History, Sent
from cases.samples import ALICE, BOB, everyone, history_of, played
from chain.accounts import to_address
from chain.history import commitment_of
from chain.types import Entry, UpdateCommitted, UpdateRevealed

OTHER = {"finding": "A3"}


def cases() -> Iterator[Case]:
    """The verb's cases."""
    yield _case("one_round", played(history_of()))
    yield _case("after_an_abort", eventful())
    yield _case("another_chain", _revealed(chain_id=1))
    yield _case("another_contract", _revealed(contract=to_address("0x" + "ff" * 20)))
    yield _case("least_of_everything", _extreme(1, -(1 << 63), -(1 << 63), bytes(32)))
    yield _case("most_of_everything", _extreme((1 << 64) - 1, (1 << 63) - 1, -1, b"\xff" * 32))
    yield from _others()


def _others() -> Iterator[Case]:
    """Openings that are not what was committed to."""
    history = _revealed()
    changes: dict[str, dict[str, Any]] = {
        "digest": {"update_digest": bytes(32)},
        "examples": {"num_examples": 11},
        "training_loss": {"training_loss": -1_500_000},
        "held_out_loss": {"held_out_loss": 700_001},
        "salt": {"salt": bytes([5]) * 32},
    }
    for name, change in changes.items():
        yield case_of("commitment", f"{name}_fail", history, OTHER, _opened(history, **change))
    yield case_of("commitment", "copied_fail", history, OTHER, _copied(history))
    yield case_of("commitment", "of_another_round_fail", history, OTHER, _of_round(history, 2))
    moved = replace(history, chain_id=5)
    yield case_of("commitment", "of_another_chain_fail", moved, OTHER, history.entries)


def _revealed(**where: Any) -> History:
    history = history_of(**where)
    history.send(everyone(history))
    return history


def _extreme(examples: int, training_loss: int, held_out_loss: int, salt: bytes) -> History:
    history = history_of()
    given = Sent(b"an update", examples, training_loss, held_out_loss, salt)
    history.send({**everyone(history), ALICE: given})
    return history


def _case(name: str, history: History) -> Case:
    return case_of("commitment", name, history, {"commitments": _computed(history)})


def _computed(history: History) -> list[str]:
    revealed = [e.event for e in history.entries if isinstance(e.event, UpdateRevealed)]
    site = (history.chain_id, history.contract)
    found = [commitment_of(*site, 1, one.round, one.client, one.reveal) for one in revealed]
    return ["0x" + one.hex() for one in found]


def _opened(history: History, **change: Any) -> list[Entry]:
    """The log in which Alice opens something else."""
    return [
        replace(entry, event=replace(entry.event, reveal=replace(entry.event.reveal, **change)))
        if isinstance(entry.event, UpdateRevealed) and entry.event.client == ALICE
        else entry
        for entry in history.entries
    ]


def _copied(history: History) -> list[Entry]:
    """The log in which Bob commits and reveals what Alice does."""
    return [
        replace(entry, event=replace(of_alice, client=BOB))
        if isinstance(entry.event, UpdateCommitted | UpdateRevealed)
        and entry.event.client == BOB
        and (of_alice := _of_alice(history, type(entry.event)))
        else entry
        for entry in history.entries
    ]


def _of_alice(history: History, kind: type[Any]) -> Any:
    events = (entry.event for entry in history.entries)
    return next(one for one in events if isinstance(one, kind) and one.client == ALICE)


def _of_round(history: History, round: int) -> list[Entry]:
    """The log with another round in what is committed and revealed."""
    return [
        replace(entry, event=replace(entry.event, round=round))
        if isinstance(entry.event, UpdateCommitted | UpdateRevealed)
        else entry
        for entry in history.entries
    ]
