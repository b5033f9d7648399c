"""Draws curves over the rounds into a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANEL_INCHES = (5.0, 3.5)


@dataclass(frozen=True, slots=True)
class Panel:
    """One curve over the rounds.

    Attributes:
        title: The curve's title.
        curve: The value at each round.
        errors: The standard error at each round; empty draws none.
        floor: The level of real pictures; None draws none.
    """

    title: str
    curve: Mapping[int, float]
    errors: Mapping[int, float] = field(default_factory=dict)
    floor: float | None = None


def draw_panels(panels: Sequence[Panel], path: Path) -> None:
    """Draw panels side by side into a PNG file.

    Args:
        panels: At least one.
        path: The file to write; its folder exists.
    """
    from matplotlib.figure import Figure  # Slow to import; only this command draws.

    width, height = PANEL_INCHES
    figure = Figure(figsize=(width * len(panels), height), layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw(axes, panel)
    # Without a date, equal results give equal files.
    figure.savefig(path, format="png", dpi=120, metadata={"Software": None})


def _draw(axes: Axes, panel: Panel) -> None:
    from matplotlib.ticker import MaxNLocator

    rounds = sorted(panel.curve)
    values = [panel.curve[round] for round in rounds]
    errors = [panel.errors.get(round, 0.0) for round in rounds]
    axes.errorbar(rounds, values, errors if any(errors) else None, marker="o", capsize=3)
    if panel.floor is not None:
        axes.axhline(panel.floor, color="grey", linestyle="--", label="real pictures")
        axes.legend()
    axes.set_title(panel.title)
    axes.set_xlabel("round")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
