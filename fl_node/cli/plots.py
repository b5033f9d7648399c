"""Curves over the rounds, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

PANEL_INCHES = (5.0, 3.5)


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of axes over the rounds.

    Attributes:
        title: Says what is measured, with its unit where it has one.
        curves: By name: round to value. Rounds without a value are left out.
        errors: By a curve's name: round to standard error; none for a curve that has none.
        floor: A level that real pictures reach; None draws none.
    """

    title: str
    curves: Mapping[str, Mapping[int, float]]
    errors: Mapping[str, Mapping[int, float]]
    floor: float | None = None


def draw_panels(panels: Sequence[Panel], path: Path) -> None:
    """Draw panels side by side into a PNG file.

    Args:
        panels: At least one.
        path: The file to write; its folder exists.
    """
    width, height = PANEL_INCHES
    figure = Figure(figsize=(width * len(panels), height), layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw(axes, panel)
    # The date is left out, so that equal results give equal files.
    figure.savefig(path, format="png", dpi=120, metadata={"Software": None})


def _draw(axes: Axes, panel: Panel) -> None:
    for name, curve in panel.curves.items():
        rounds = sorted(curve)
        errors = panel.errors.get(name)
        spread = [errors[at] for at in rounds] if errors else None
        axes.errorbar(
            rounds, [curve[at] for at in rounds], spread, marker="o", capsize=3, label=name
        )
    if panel.floor is not None:
        axes.axhline(panel.floor, color="grey", linestyle="--", label="real pictures")
    axes.set_title(panel.title)
    axes.set_xlabel("round")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
