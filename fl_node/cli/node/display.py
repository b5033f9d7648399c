"""What a node tells its displays."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Protocol, Self

from chain.text import shown
from fl_node.blobs.metrics import metrics_to_json
from fl_node.cli.node.awaiting import Awaited
from fl_node.cli.subjects import MILLION
from fl_node.member.participant import Step
from fl_node.round.dry_run import DryRun


class Display(Protocol):
    """Shows what a node does; in a `with` block while the node runs."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def started(self, account: str, task: int, data: str) -> None:
        """Show that the member begins to load its data."""

    def progress(self, step: int, steps: int, losses: dict[str, float]) -> None:
        """Show a training step."""

    def awaiting(self, awaited: Awaited) -> None:
        """Show that the node waits for others."""

    def notice(self, outcome: Step | Exception) -> None:
        """Show a step, or an error that is waited out."""

    def tried(self, run: DryRun) -> None:
        """Show the result of a dry run."""


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
