"""The result of `ganchor evaluate`, as JSON, as a table, and as files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from fl_node.cli.evaluate.plots import Panel, draw_panels
from fl_node.cli.subjects import RecordedLosses, Subject
from fl_node.cli.words import short

FLOOR = "real pictures"


@dataclass(frozen=True, slots=True)
class Measured:
    """A model and its quality, a dataclass that depends on the kind of learner."""

    model: Subject
    quality: Any


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The whole result.

    Attributes:
        facts: What the numbers depend on, by name: data, counts, seed, extractor.
        measured: The models, in the order in which they were asked for.
        floor: The quality of real training pictures instead of samples; None for a classifier, or if samples
            are compared with the training pictures.
        recorded: The losses on chain of all final rounds.
    """

    facts: Mapping[str, Any]
    measured: tuple[Measured, ...]
    floor: Any | None
    recorded: tuple[RecordedLosses, ...]

    @property
    def has_samples(self) -> bool:
        """Whether the models draw samples."""
        return "samples" in self.facts

    @property
    def pictures(self) -> str:
        """The real pictures that the models were measured on, in words."""
        return "training pictures" if self.facts.get("against") == "train" else "test pictures"

    def to_json(self) -> dict[str, Any]:
        """The result as JSON; docs/evaluation.md lists the keys."""
        return {
            **self.facts,
            "models": [
                {
                    "name": result.model.name,
                    "round": result.model.round,
                    "digest": result.model.digest,
                    **asdict(result.quality),
                }
                for result in self.measured
            ],
            "floor": asdict(self.floor) if self.floor else None,
            "recorded": [asdict(losses) for losses in self.recorded],
        }


def table_of(evaluation: Evaluation) -> Table:
    """One row for each model, and the floor below them."""
    title = f"Quality on {evaluation.pictures}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE)
    table.add_column("round" if evaluation.recorded else "model")
    table.add_column("digest")
    headings = (
        ("KID", "FID", "classes covered")
        if evaluation.has_samples
        else ("accuracy", "cross-entropy")
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    for result in evaluation.measured:
        table.add_row(result.model.name, short(result.model.digest), *_cells(result.quality))
    if evaluation.floor:
        table.add_section()
        table.add_row(FLOOR, "", *_cells(evaluation.floor), style="dim")
    return table


def write_files(evaluation: Evaluation, folder: Path) -> None:
    """Write evaluation.json, and curves.png if there are at least two rounds to draw."""
    text = json.dumps(evaluation.to_json(), indent=1)
    (folder / "evaluation.json").write_text(text + "\n")
    rounds = {result.model.round for result in evaluation.measured} - {None}
    if len(rounds) > 1 or len(evaluation.recorded) > 1:
        draw_panels(panels_of(evaluation), folder / "curves.png")


def panels_of(evaluation: Evaluation) -> list[Panel]:
    """The curves to draw: KID and FID, or accuracy and loss; and the losses on chain."""
    qualities = {
        result.model.round: asdict(result.quality)
        for result in evaluation.measured
        if result.model.round is not None
    }
    floor = asdict(evaluation.floor) if evaluation.floor else {}

    def measured(key: str, title: str) -> Panel:
        curve = {round: numbers[key] for round, numbers in qualities.items()}
        errors = {round: numbers.get(f"{key}_error") or 0.0 for round, numbers in qualities.items()}
        return Panel(title, curve, errors, floor.get(key))

    def recorded(key: str, title: str) -> Panel:
        values = {losses.round: getattr(losses, key) for losses in evaluation.recorded}
        return Panel(title, {at: value for at, value in values.items() if value is not None})

    first = (
        [measured(key, f"{key.upper()} on {evaluation.pictures}") for key in ("kid", "fid")]
        if evaluation.has_samples
        else [measured("accuracy", "accuracy on test pictures"), measured("loss", "cross-entropy")]
    )
    on_chain = [
        recorded("training", "training loss on chain"),
        recorded("held_out", "held-out loss on chain"),
    ]
    return [panel for panel in first + on_chain if panel.curve]


def _cells(quality: Any) -> list[str]:
    numbers = asdict(quality)
    if "accuracy" in numbers:
        return [f"{numbers['accuracy']:.2%}", f"{numbers['loss']:.4f}"]
    covered = numbers["coverage"]
    return [
        f"{numbers['kid']:.4f} ± {numbers['kid_error']:.4f}",
        f"{numbers['fid']:.2f}" + (f" ± {error:.2f}" if (error := numbers["fid_error"]) else ""),
        f"{covered['covered']} of {covered['classes']}" if covered else "–",
    ]
