"""What the audit has found so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fl_node.audit.report import STEPS, Finding, Status


@dataclass
class Findings:
    """Collects findings, and records which steps ran, and where and why a step did not run."""

    found: list[Finding] = field(default_factory=list)
    _reached: set[str] = field(default_factory=set)
    _skipped: dict[str, dict[str, list[int]]] = field(default_factory=dict)

    def reach(self, *steps: str) -> None:
        """Record that these steps run."""
        self._reached.update(steps)

    def skip(self, *steps: str, because: str, round: int | None = None) -> None:
        """Record that these steps cannot run: in one round, or at all if `round` is None."""
        for step in steps:
            rounds = self._skipped.setdefault(step, {}).setdefault(because, [])
            if round is not None:
                rounds.append(round)

    def add(self, step: str, message: str, **where: Any) -> None:
        """Record a finding; `where` takes the other fields of `Finding`."""
        self.found.append(Finding(step, message, **where))

    def statuses(self) -> dict[str, Status]:
        """The status of every step."""
        return {step: self._status(step) for step in STEPS}

    def reasons(self) -> dict[str, tuple[str, ...]]:
        """For each step that did not run, or not in every round: the reasons."""
        return {
            step: tuple(_reason(because, rounds) for because, rounds in skipped.items())
            for step, skipped in sorted(self._skipped.items())
        }

    def _status(self, step: str) -> Status:
        if any(finding.step == step for finding in self.found):
            return Status.FINDINGS
        carried_out = step in self._reached and step not in self._skipped
        return Status.CLEAN if carried_out else Status.NOT_REACHED


def _reason(because: str, rounds: list[int]) -> str:
    if not rounds:
        return because
    if len(rounds) == 1:
        return f"round {rounds[0]}: {because}"
    unbroken = rounds == list(range(rounds[0], rounds[-1] + 1))
    named = f"{rounds[0]} to {rounds[-1]}" if unbroken else ", ".join(map(str, rounds))
    return f"rounds {named}: {because}"
