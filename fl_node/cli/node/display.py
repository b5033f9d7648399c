"""What a node says, as values, and who is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chain.text import shown
from fl_node.blobs.metrics import metrics_to_json
from fl_node.cli.node.awaiting import Awaited
from fl_node.cli.subjects import MILLION
from fl_node.member.participant import Step
from fl_node.member.uplink import Slow
from fl_node.round.dry_run import DryRun


@dataclass(frozen=True, slots=True)
class Serving:
    """The node's metrics are at this URL."""

    url: str


@dataclass(frozen=True, slots=True)
class Started:
    """The member begins to load its data."""

    account: str
    task: int
    data: str


@dataclass(frozen=True, slots=True)
class Training:
    """A training step, and the losses so far, by name."""

    step: int
    steps: int
    losses: dict[str, float]


@dataclass(frozen=True, slots=True)
class Stopping:
    """The node was told to stop."""


@dataclass(frozen=True, slots=True)
class Untracked:
    """What `--log-to` names has failed, and is told nothing more."""

    why: str


Said = (
    Serving | Started | Training | Step | Slow | Awaited | Exception | DryRun | Untracked | Stopping
)
"""All that a node says. An exception is an error that it waits out."""

Show = Callable[[Said], None]
"""Shows, counts or writes down what a node says."""


def to_all(*shows: Show) -> Show:
    """Tell each of them."""

    def show(said: Said) -> None:
        for one in shows:
            one(said)

    return show


def facts_of(run: DryRun) -> dict[str, Any]:
    """What a dry run found, by name, as texts and numbers."""
    facts: dict[str, Any] = {
        "examples": run.num_examples,
        "training_loss": run.training_loss / MILLION,
        "held_out_loss": run.held_out_loss / MILLION,
        "bytes": run.blob_bytes,
        "norm": run.norm,
        "steps": run.steps,
    }
    for stated in (metrics_to_json(run.metrics or {}), run.versions or {}):
        facts |= {shown(name): value and shown(value) for name, value in stated.items()}
    return facts
