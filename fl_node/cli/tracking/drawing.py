"""Samples of a task's models as pictures, for a tracker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from fl_node.arrays import Arrays
from fl_node.cli.tracking.trackers import Picture
from fl_node.errors import Misuse
from fl_node.manifest.code_learners import CodeLearner
from fl_node.manifest.manifest import Manifest

Draw = Callable[[Arrays], Picture]
"""Draws a grid of samples of a model, given its shared tensors; all models get the same noise."""


def drawing(manifest: Manifest) -> Draw | None:
    """How a task's models draw; None if they do not, or if only the task's own code could."""
    if isinstance(manifest.learner, CodeLearner):
        return None
    from fl_node.learning.task import (
        drawing_of,
    )  # Imports torch, which the learner has imported by now.

    try:
        write = drawing_of(manifest)
    except Misuse:
        return None

    def draw(model: Arrays) -> Picture:
        with TemporaryDirectory(prefix="ganchor-") as folder:
            path = Path(folder) / "samples.png"
            write(model, path, 0)
            with Image.open(path, formats=["PNG"]) as picture:
                return np.asarray(picture.convert("RGB"))

    return draw
