"""What a check finds: one line for each thing that a node depends on, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, TypeVar

from rich import box
from rich.markup import escape
from rich.table import Table

from chain.errors import LedgerError
from chain.text import shown
from fl_node.errors import GanchorError

T = TypeVar("T")


class Verdict(Enum):
    """What something that was checked means for a node."""

    GOOD = "good"
    DOUBTFUL = "doubtful"
    WRONG = "wrong"
    UNKNOWN = "not checked"


_STYLES = {
    Verdict.GOOD: "green",
    Verdict.DOUBTFUL: "yellow",
    Verdict.WRONG: "red",
    Verdict.UNKNOWN: "dim",
}


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that was checked.

    Attributes:
        what: Its name, such as "store".
        verdict: What it means for a node.
        found: What was found, with numbers, in one line.
        advice: What to do; empty if there is nothing to do.
    """

    what: str
    verdict: Verdict
    found: str
    advice: str = ""


class Findings:
    """The findings of a check, in the order in which they depend on each other."""

    def __init__(self) -> None:
        self.all: list[Found] = []

    @property
    def anything_wrong(self) -> bool:
        """Whether a node would fail."""
        return any(found.verdict is Verdict.WRONG for found in self.all)

    def add(self, found: Found) -> None:
        """Add a finding."""
        self.all.append(found)

    def unknown(self, what: str, because: str) -> None:
        """Add something that cannot be checked, because another thing is wrong."""
        self.add(Found(what, Verdict.UNKNOWN, f"needs {because}"))

    def tried(
        self, what: str, act: Callable[[], T], judge: Callable[[T], Found], advice: str
    ) -> T | None:
        """Do something, and add what its result means. If it fails, that is the finding, and `advice` goes with it.

        Returns:
            The result; None if there is none.
        """
        try:
            result = act()
            self.add(judge(result))
        except (GanchorError, LedgerError) as error:
            self.add(Found(what, Verdict.WRONG, shown(error), advice))
            return None
        return result


def to_json(findings: Sequence[Found]) -> list[dict[str, Any]]:
    """The findings for machines."""
    return [{**asdict(found), "verdict": found.verdict.value} for found in findings]


def findings_table(findings: Sequence[Found]) -> Table:
    """The findings for people."""
    table = Table(box=box.SIMPLE, pad_edge=False, show_header=False)
    table.add_column("what", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("found", overflow="fold")
    for found in findings:
        lines = [escape(found.found)]
        if found.advice:
            lines.append(f"[bold]→ {escape(found.advice)}[/]")
        style = _STYLES[found.verdict]
        table.add_row(found.what, f"[{style}]{found.verdict.value}[/]", "\n".join(lines))
    return table
