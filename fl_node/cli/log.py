"""`ganchor log`: who did what in a task, and when."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from chain.ledger import Ledger
from chain.types import (
    AbsencesForgiven,
    Address,
    AggregateAttested,
    AttestOpened,
    Entry,
    Event,
    MemberRejoined,
    MembersMissed,
    RevealOpened,
    RoundAborted,
    RoundFinalised,
    RoundOpened,
    RoundSkipped,
    TaskFinished,
    TaskOpened,
    UpdateCommitted,
    UpdateRevealed,
)
from fl_node.cli import options, wiring
from fl_node.cli.words import loss, short, time_text
from fl_node.history.members import members_of
from fl_node.history.record import members_in

FOLLOW_SECONDS = 1.0
BITMAPS = {"cohort", "committed", "revealed", "missed", "forgiven", "included"}
"""Fields of events in which bit i stands for the member at index i."""


def log(
    task: options.Task = 1,
    follow: Annotated[
        bool, typer.Option("--follow", help="Keep printing until the task is finished.")
    ] = False,
    rpc_url: options.RpcUrl = options.DEFAULT_RPC_URL,
    deployment: options.DeploymentFile = options.DEFAULT_DEPLOYMENT,
    workspace: options.WorkspaceFolder = None,
    as_json: options.Json = False,
) -> None:
    """Show who did what in a task, and when: one line for each event on chain."""
    with wiring.evidence(workspace, rpc_url, deployment) as evidence:
        ledger = wiring.open_ledger(evidence.rpc_urls, evidence.deployment, task=task)
        members = members_of(ledger, task)
        for entry in following(ledger, task) if follow else ledger.history(task):
            line = json.dumps(to_json(entry, members)) if as_json else line_of(entry, members)
            typer.echo(line)


def following(ledger: Ledger, task: int, seconds: float = FOLLOW_SECONDS) -> Iterator[Entry]:
    """Yield the entries of a task as they are recorded, until the task is finished.

    Args:
        ledger: The task's ledger.
        task: Its number.
        seconds: The time between two looks.
    """
    block = -1
    while True:
        for entry in ledger.history(task, block + 1):
            yield entry
            block = entry.block_number
            if isinstance(entry.event, TaskFinished):
                return
        time.sleep(seconds)


def line_of(entry: Entry, members: Sequence[Address]) -> str:
    """An entry as a line of text: time in UTC, block, account, and what happened."""
    at = time_text(entry.timestamp).removesuffix(" UTC")
    actor = short(actor_of(entry.event) or "contract")
    return f"{at}  block {entry.block_number:<6} {actor:10} {description_of(entry.event, members)}"


def actor_of(event: Event) -> Address | None:
    """The account whose call emitted the event; None for events of the contract's own."""
    match event:
        case TaskOpened(coordinator=account):
            return account
        case UpdateCommitted(client=account) | UpdateRevealed(client=account):
            return account
        case AggregateAttested(client=account):
            return account
        case RoundSkipped(member=account) | MemberRejoined(member=account):
            return account
        case _:
            return None


def description_of(event: Event, members: Sequence[Address]) -> str:
    """An event in words."""

    def named(bitmap: int) -> str:
        return ", ".join(short(member) for member in members_in(members, bitmap)) or "nobody"

    match event:
        case TaskOpened(members=those, terms=terms):
            return f"opened the task: {len(those)} members, {terms.rounds} rounds"
        case RoundOpened():
            again = f", attempt {event.attempt + 1}" if event.attempt else ""
            return f"round {event.round}{again} opened for {named(event.cohort)}"
        case UpdateCommitted():
            return f"round {event.round}: committed to an update"
        case RoundSkipped():
            return f"round {event.round}: declined"
        case RevealOpened():
            return f"round {event.round}: commits closed, from {named(event.committed)}"
        case UpdateRevealed(reveal=reveal):
            return (
                f"round {event.round}: revealed update {short(reveal.update_digest.hex())}, "
                f"{reveal.num_examples} examples, training loss {loss(reveal.training_loss)}, "
                f"held-out loss {loss(reveal.held_out_loss)}"
            )
        case AttestOpened():
            return f"round {event.round}: reveals closed, from {named(event.revealed)}"
        case AggregateAttested():
            return f"round {event.round}: attested to model {short(event.aggregate_digest.hex())}"
        case MembersMissed():
            return f"round {event.round}: deadline missed by {named(event.missed)}"
        case MemberRejoined():
            return "rejoined"
        case AbsencesForgiven():
            return f"absence forgiven: {named(event.forgiven)}"
        case RoundFinalised():
            model = short(event.aggregate_digest.hex())
            return (
                f"round {event.round} is final: model {model}, updates of {named(event.included)}"
            )
        case RoundAborted():
            phase = event.phase.name.lower()
            return f"round {event.round}, attempt {event.attempt + 1}: aborted in its {phase} phase"
        case TaskFinished():
            return f"the task is finished: final model {event.final_digest.hex()}"


def to_json(entry: Entry, members: Sequence[Address]) -> dict[str, Any]:
    """An entry as JSON: the event's fields, digests in hex, members as addresses."""
    fields = {
        name: list(members_in(members, value)) if name in BITMAPS else _plain(value)
        for name, value in asdict(entry.event).items()
    }
    return {
        "time": entry.timestamp,
        "block": entry.block_number,
        "transaction": None if entry.transaction is None else "0x" + entry.transaction.hex(),
        "event": type(entry.event).__name__,
        **fields,
    }


def _plain(value: Any) -> Any:
    match value:
        case bytes():
            return value.hex()
        case dict():
            return {name: _plain(inner) for name, inner in value.items()}
        case _:
            return value
