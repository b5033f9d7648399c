"""Whether an update gets through a node's uplink in time, in numbers."""

from __future__ import annotations

from dataclasses import dataclass

from chain.types import Address, Reveal, UpdateRevealed
from fl_node.blobs.model import Model
from fl_node.manifest.manifest import Manifest
from fl_node.round.form import update_form
from fl_node.round.verdicts import expected_header, largest_update

MEGA = 1_000_000


@dataclass(frozen=True, slots=True)
class Slow:
    """An update that an uplink does not get into the store within the reveal window.

    Attributes:
        size: Bytes of the update, as it travels.
        rate: Of the uplink, in bytes per second; > 0.
        window: Seconds of the reveal window.
        early: Whether the upload begins before the window does, while others still train.
    """

    size: int
    rate: float
    window: int
    early: bool

    @property
    def seconds(self) -> float:
        """How long the upload takes."""
        return self.size / self.rate

    def __str__(self) -> str:
        """Such as: an update of 14.3 MB takes about 57 s at 2.0 Mbit/s; the reveal window is 30 s."""
        line = (
            f"an update of {self.size / MEGA:.1f} MB takes about {self.seconds:.0f} s "
            f"at {8 * self.rate / MEGA:.1f} Mbit/s; the reveal window is {self.window} s"
        )
        if self.early:
            line += ", so it counts only in rounds in which others train longer"
        return line


def slow_uplink(size: int, rate: float, window: int, early: bool) -> Slow | None:
    """What to warn of; None if the update gets through in time. Arguments as in `Slow`."""
    slow = Slow(size, max(rate, 1.0), window, early)
    return slow if slow.seconds > window else None


def largest_of(manifest: Manifest, parent: Model, client: Address) -> int:
    """The most bytes that a member's update may have, before it is made."""
    reveal = Reveal(bytes(32), manifest.limits.examples, 0, 0, bytes(32))
    header = expected_header(manifest, parent.digest, UpdateRevealed(1, 1, client, reveal))
    return largest_update(manifest, update_form(manifest, parent.arrays), header)
