"""The folder that `ganchor demo` leaves behind, and its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fl_node.audit.report import AuditedRound
from fl_node.blobs.canonical import parse_json
from fl_node.errors import Misuse


class Workspace:
    """Where everything is in a demo's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "chain.sqlite"
        self.deployment = folder / "deployment.json"
        self.manifest = folder / "manifest.toml"
        self.store = folder / "store"
        self.nodes = folder / "nodes"
        self.samples = folder / "samples"
        self.report = folder / "report.json"
        self.audit = folder / "audit.json"

    def create(self) -> None:
        """Make the folder.

        Raises:
            Misuse: It holds something already.
        """
        if self.folder.exists() and any(self.folder.iterdir()):
            raise Misuse(
                f"{self.folder} is not empty; give another --workspace, or remove it first"
            )
        for folder in (self.folder, self.store, self.nodes, self.samples):
            folder.mkdir(parents=True, exist_ok=True)

    def existing_database(self) -> Path:
        """The chain's database.

        Raises:
            Misuse: There is none, so that this is no workspace.
        """
        if not self.database.exists():
            raise Misuse(f"{self.folder} is not a workspace: it holds no {self.database.name}")
        return self.database


def free_workspace(base: Path) -> Path:
    """The first of base/demo-1, base/demo-2, ... that is not there yet."""
    number = 1
    while (base / f"demo-{number}").exists():
        number += 1
    return base / f"demo-{number}"


def report_rounds(rounds: Sequence[AuditedRound], gas: Mapping[int, int]) -> list[dict[str, Any]]:
    """What report.json says of the rounds: example-weighted means of the losses in millionths, gas, seconds."""
    return [
        {
            "round": one.round,
            "attempts": one.attempts,
            "aggregate_digest": one.aggregate_digest,
            "updates": {update.client: update.digest for update in one.updates},
            "included": [update.client for update in one.updates if update.included],
            "training_loss": one.training_loss,
            "held_out_loss": one.held_out_loss,
            "gas": gas.get(one.round, 0),
            "seconds": one.finalised_at - one.opened_at,
        }
        for one in rounds
    ]


def read_reported(path: Path) -> list[tuple[int | None, int | None]]:
    """The losses that a report.json claims, round by round.

    Raises:
        Misuse: The file is not such a report.
    """
    try:
        rounds = parse_json(path.read_text(), fractions=True)["rounds"]
        return [(one["training_loss"], one["held_out_loss"]) for one in rounds]
    except OSError as error:
        raise Misuse(f"report {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise Misuse(f"{path} is not a report as `ganchor demo` writes it") from None
