"""What the audit has established so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fl_node.audit.report import STEPS, Finding, Status


@dataclass
class Findings:
    """Collects findings, and remembers which steps were carried out."""

    found: list[Finding] = field(default_factory=list)
    _reached: set[str] = field(default_factory=set)

    def reach(self, *steps: str) -> None:
        """Note that steps are being carried out."""
        self._reached.update(steps)

    def add(self, step: str, message: str, **where: Any) -> None:
        """Note something wrong; `where` takes the other fields of `Finding`."""
        self.found.append(Finding(step, message, **where))

    def statuses(self) -> dict[str, Status]:
        """How every step ended."""
        return {step: self._status(step) for step in STEPS}

    def _status(self, step: str) -> Status:
        if any(finding.step == step for finding in self.found):
            return Status.FINDINGS
        return Status.CLEAN if step in self._reached else Status.NOT_REACHED
