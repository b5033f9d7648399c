"""What a node needs of its machine: a device, the task's packages, and a folder for its state."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from chain.text import shown
from fl_node.cli.check.findings import Found, Verdict
from fl_node.errors import StateUnusable
from fl_node.member.state import Membership, NodeState

KEPT_MODELS = 12
"""A state folder holds two rounds: in each an update, and private arrays of up to four times the model."""

MEGA = 1_000_000


def device(name: str | None) -> Found:
    """The device on which the node would train.

    Raises:
        DeviceUnusable: The machine has no such device.
    """
    from fl_node.learning.device import choose_device, described  # Imports torch.

    chosen = choose_device(name)
    line = described(chosen)
    if name is None and chosen.type == "cpu":
        return Found("device", Verdict.GOOD, f"{line}; torch sees no GPU here")
    return Found("device", Verdict.GOOD, line)


def code(digest: str, versions: Mapping[str, str]) -> Found:
    """That the task's own code may run here; `versions` are those of the packages that it requires."""
    named = ", ".join(f"{name} {shown(version)}" for name, version in versions.items())
    packages = f", with {named}" if named else ""
    return Found("code", Verdict.GOOD, f"{digest[:12]}… is allowed{packages}")


def state(folder: Path, membership: Membership | None, model: int) -> Found:
    """Whether the node can keep its state.

    Args:
        folder: The value of `--state`.
        membership: The member and its task, if they are known.
        model: Bytes of the model; 0 if it is not known.

    Raises:
        StateUnusable: The folder belongs to another member or task, is in use, is damaged, or cannot be written.
    """
    there = _nearest(folder)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise StateUnusable(f"{there} is no folder that can be written")
    if membership is not None and (folder / "membership.json").exists():
        NodeState(folder, membership).close()
    free, needed = shutil.disk_usage(there).free, KEPT_MODELS * model
    line = f"{folder}: {free / MEGA:,.0f} MB free"
    if free < needed:
        line += f"; the node may need {needed / MEGA:,.0f} MB"
        return Found("state", Verdict.WRONG, line, "make room, or give a --state on another disk")
    return Found("state", Verdict.GOOD, line)


def _nearest(folder: Path) -> Path:
    """The folder's path, or the nearest one above it where something is."""
    whole = folder.absolute()
    return next(path for path in (whole, *whole.parents) if path.exists())
