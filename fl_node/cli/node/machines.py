"""What machines read of a node: JSON lines."""

from __future__ import annotations

import json
import sys
from math import isfinite
from typing import Any

from chain.text import shown
from fl_node.cli.node.awaiting import Awaited
from fl_node.cli.node.display import facts_of
from fl_node.member.next_action import Action
from fl_node.member.participant import Step
from fl_node.round.dry_run import DryRun


class JsonDisplay:
    """Prints a JSON object a line for each thing that happens."""

    def __enter__(self) -> JsonDisplay:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def started(self, account: str, task: int, data: str) -> None:
        self._print(event="started", account=account, task=task, data=data)

    def tried(self, run: DryRun) -> None:
        self._print(
            event="dry run", **facts_of(run), objections=[shown(line) for line in run.objections]
        )

    def awaiting(self, awaited: Awaited) -> None:
        self._print(
            event="awaiting",
            round=awaited.round,
            attempt=awaited.attempt,
            phase=awaited.phase.name.lower(),
            missing=awaited.missing,
            deadline=awaited.deadline,
            elsewhere=awaited.elsewhere,
        )

    def progress(self, step: int, steps: int, losses: dict[str, float]) -> None:
        finite = {name: value if isfinite(value) else None for name, value in losses.items()}
        self._print(event="training", step=step, steps=steps, losses=finite)

    def notice(self, outcome: Step | Exception) -> None:
        if isinstance(outcome, Exception):
            self._print(event="waiting", reason=shown(outcome))
        elif outcome.action is Action.FINISHED:
            self._print(
                event="finished",
                final_digest=outcome.state.parent_digest.hex(),
                history_head=outcome.state.history_head.hex(),
            )
        elif outcome.receipt is not None:
            self._print(
                event=outcome.action.name.lower(),
                round=outcome.state.round,
                attempt=outcome.state.attempt,
                block=outcome.receipt.block_number,
                gas=outcome.receipt.gas_used,
                **({"reason": shown(outcome.reason)} if outcome.reason else {}),
            )

    def _print(self, **values: Any) -> None:
        sys.stdout.write(json.dumps(values, allow_nan=False) + "\n")
        sys.stdout.flush()
