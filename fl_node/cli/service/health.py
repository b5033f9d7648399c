"""Whether a node is in order: it gives signs of life, and what it needs can be reached."""

from __future__ import annotations

from dataclasses import dataclass

from fl_node.cli.service.watch import Watch

LONGEST_TROUBLE = 60.0
"""Seconds for which errors may be waited out. Retries of one request take less."""


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a node is in order, and if not, why."""

    healthy: bool
    why: str = ""


def health_of(watch: Watch) -> Health:
    """Judge a node by its watch."""
    silent = watch.now() - watch.heard_at
    if silent > watch.silence:
        return Health(False, f"no sign of life for {silent:.0f} s; it was last {watch.doing}")
    troubled = watch.now() - watch.troubled_since
    if watch.trouble and troubled > LONGEST_TROUBLE:
        return Health(False, f"in trouble for {troubled:.0f} s: {watch.trouble}")
    return Health(True)
