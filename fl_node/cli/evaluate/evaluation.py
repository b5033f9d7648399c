"""What `ganchor evaluate` found, as JSON, as a table, and as files."""

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
    """One model and its numbers: a dataclass of the kind's own."""

    model: Subject
    quality: Any


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The whole.

    Attributes:
        facts: What the numbers depend on, by name: data, counts, seed, extractor.
        measured: In the order in which they were asked for.
        floor: What real training pictures get in the place of a GAN's samples; None for a classifier.
        recorded: The losses on chain, of all final rounds.
    """

    facts: Mapping[str, Any]
    measured: tuple[Measured, ...]
    floor: Any | None
    recorded: tuple[RecordedLosses, ...]

    def to_json(self) -> dict[str, Any]:
        """For machines: docs/evaluation.md names the keys."""
        return {
            **self.facts,
            "models": [
                {
                    "name": one.model.name,
                    "round": one.model.round,
                    "digest": one.model.digest,
                    **asdict(one.quality),
                }
                for one in self.measured
            ],
            "floor": asdict(self.floor) if self.floor else None,
            "recorded": [asdict(one) for one in self.recorded],
        }


def table_of(evaluation: Evaluation) -> Table:
    """One line for each model, and the floor below them."""
    table = Table(title="Quality on test pictures", title_justify="left", box=box.SIMPLE)
    table.add_column("round" if evaluation.recorded else "model")
    table.add_column("digest")
    headings = (
        ("KID", "FID", "classes covered") if evaluation.floor else ("accuracy", "cross-entropy")
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    for one in evaluation.measured:
        table.add_row(one.model.name, short(one.model.digest), *_cells(one.quality))
    if evaluation.floor:
        table.add_section()
        table.add_row(FLOOR, "", *_cells(evaluation.floor), style="dim")
    return table


def write_files(evaluation: Evaluation, folder: Path) -> None:
    """Leave evaluation.json, and curves.png where there are at least two rounds to draw."""
    text = json.dumps(evaluation.to_json(), indent=1)
    (folder / "evaluation.json").write_text(text + "\n")
    rounds = {one.model.round for one in evaluation.measured} - {None}
    if len(rounds) > 1 or len(evaluation.recorded) > 1:
        draw_panels(panels_of(evaluation), folder / "curves.png")


def panels_of(evaluation: Evaluation) -> list[Panel]:
    """What is worth a curve: KID and FID, or accuracy and loss; and the losses on chain."""
    qualities = {
        one.model.round: asdict(one.quality)
        for one in evaluation.measured
        if one.model.round is not None
    }
    floor = asdict(evaluation.floor) if evaluation.floor else {}

    def measured(key: str, title: str) -> Panel:
        curve = {round: numbers[key] for round, numbers in qualities.items()}
        errors = {round: numbers.get(f"{key}_error", 0.0) for round, numbers in qualities.items()}
        return Panel(title, curve, errors, floor.get(key))

    def recorded(key: str, title: str) -> Panel:
        values = {one.round: getattr(one, key) for one in evaluation.recorded}
        return Panel(title, {at: value for at, value in values.items() if value is not None})

    first = (
        [measured("kid", "KID on test pictures"), measured("fid", "FID on test pictures")]
        if floor
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
        f"{numbers['fid']:.2f}",
        f"{covered['covered']} of {covered['classes']}" if covered else "–",
    ]
