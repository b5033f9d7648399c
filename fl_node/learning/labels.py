"""The classes of the pictures."""

from __future__ import annotations

from typing import Protocol

from fl_node.errors import DataUnusable
from fl_node.learning.data import Images


class Conditional(Protocol):
    """Options of a model that can be conditioned on classes: their number, or 0."""

    classes: int


def verify_conditions(options: Conditional, images: Images) -> None:
    """Check the pictures' classes if a model is conditioned on them; any other learns from any pictures of its shape.

    Raises:
        DataUnusable: As for `verify_labels`.
    """
    if options.classes:
        verify_labels(options.classes, images)


def verify_labels(classes: int, images: Images) -> None:
    """Check that the pictures' classes suit the model.

    Raises:
        DataUnusable: There are no classes, or one is outside 0 to `classes` - 1.
    """
    if images.labels_N is None:
        raise DataUnusable("the pictures have no classes; put each class into a folder of its own")
    lowest, highest = int(images.labels_N.min()), int(images.labels_N.max())
    if lowest < 0 or highest >= classes:
        raise DataUnusable(f"classes: expected 0 to {classes - 1}, got {lowest} to {highest}")
