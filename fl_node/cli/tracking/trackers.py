"""Where a node's numbers go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from numpy import uint8
from numpy.typing import NDArray

Picture = NDArray[uint8]
"""Height x width x 3, red, green and blue from 0 to 255."""


class Tracker(Protocol):
    """Takes the numbers of a training. Whatever a method raises ends the tracking, and nothing else."""

    def numbers(self, round: int, values: Mapping[str, float]) -> None:
        """Take numbers of a round, by their names; each is finite, and names have slashes between their parts."""

    def picture(self, round: int, name: str, pixels: Picture) -> None:
        """Take a picture of a round."""

    def close(self) -> None:
        """Write out what is not yet written."""
