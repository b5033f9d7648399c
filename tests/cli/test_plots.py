"""Curves as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from fl_node.cli.evaluate.plots import Panel, draw_panels

KID = Panel("KID", {1: 0.4, 3: 0.2}, {1: 0.1, 3: 0.05}, floor=0.01)
LOSSES = Panel("losses", {1: 2.0})


BLUE = (31, 119, 180)
"""The colour of a first curve."""


def drawn(path: Path, *panels: Panel) -> tuple[int, int]:
    """Draw panels, see that each shows its curve, and give the picture's size."""
    draw_panels(panels, path)
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
        for part in np.split(pixels, len(panels), axis=1):
            assert (part == BLUE).all(axis=2).sum() > 20, "a marker alone has more"
        return picture.size


def test_panels_stand_side_by_side(tmp_path: Path) -> None:
    (one_width, height) = drawn(tmp_path / "one.png", KID)
    assert drawn(tmp_path / "two.png", KID, LOSSES) == (2 * one_width, height)


def test_equal_curves_give_equal_files_and_others_others(tmp_path: Path) -> None:
    first, again, other = (tmp_path / name for name in ("first.png", "again.png", "other.png"))
    draw_panels([KID], first)
    draw_panels([KID], again)
    draw_panels([Panel("KID", {1: 0.4, 3: 0.3}, floor=0.01)], other)
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()
