"""What machines read of a node: JSON lines."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from chain.text import shown
from fl_node.cli.node.awaiting import Awaited
from fl_node.cli.node.display import Said, Serving, Started, Stopping, Training, Untracked, facts_of
from fl_node.member.next_action import Action
from fl_node.member.participant import Step
from fl_node.member.uplink import Slow
from fl_node.round.dry_run import DryRun


class MachineDisplay:
    """Prints a JSON object a line for each thing that happens, with its time in UTC (RFC 3339).

    Args:
        wall: Seconds since 1970.
    """

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall

    def show(self, said: Said) -> None:
        """Print what the node says, if a machine has use for it."""
        entry = _entry(said)
        if entry:
            at = datetime.fromtimestamp(self._wall(), UTC).isoformat(timespec="milliseconds")
            line = {"time": at.replace("+00:00", "Z"), **entry}
            sys.stdout.write(json.dumps(line, allow_nan=False) + "\n")
            sys.stdout.flush()


def _entry(said: Said) -> dict[str, Any]:
    match said:
        case Serving():
            return {"event": "serving", "metrics": f"{said.url}/metrics"}
        case Started():
            return {
                "event": "started",
                "account": said.account,
                "task": said.task,
                "data": said.data,
            }
        case Training():
            losses = {
                name: value if isfinite(value) else None for name, value in said.losses.items()
            }
            return {
                "event": "training",
                "step": said.step,
                "steps": said.steps,
                "losses": losses,
            }
        case Step():
            return _step(said)
        case Slow():
            return {"event": "slow uplink", **_slow(said)}
        case Awaited():
            return {
                "event": "awaiting",
                "round": said.round,
                "attempt": said.attempt,
                "phase": said.phase.name.lower(),
                "missing": said.missing,
                "deadline": said.deadline,
                "elsewhere": said.elsewhere,
            }
        case DryRun():
            objections = [shown(line) for line in said.objections]
            return {"event": "dry run", **facts_of(said), "objections": objections}
        case Untracked():
            return {"event": "untracked", "reason": shown(said.why)}
        case Stopping():
            return {"event": "stopped"}
        case Exception():
            return {"event": "waiting", "error": type(said).__name__, "reason": shown(said)}


def _step(step: Step) -> dict[str, Any]:
    """A step that ended the task, or that the chain recorded."""
    if step.action is Action.FINISHED:
        return {
            "event": "finished",
            "final_digest": step.state.parent_digest.hex(),
            "history_head": step.state.history_head.hex(),
        }
    if step.receipt is None:
        return {}
    return {
        "event": step.action.name.lower(),
        "round": step.state.round,
        "attempt": step.state.attempt,
        "block": step.receipt.block_number,
        "gas": step.receipt.gas_used,
        **({"reason": shown(step.reason)} if step.reason else {}),
        **({"slow": _slow(step.slow)} if step.slow else {}),
    }


def _slow(slow: Slow) -> dict[str, Any]:
    return {
        "bytes": slow.size,
        "bytes_per_second": round(slow.rate),
        "seconds": round(slow.seconds),
        "window": slow.window,
    }
