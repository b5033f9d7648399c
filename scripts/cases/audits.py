"""Cases of `audit`: clean histories, and one lie for each way that a step can find one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cases.case import Case, case_of
from cases.heads import eventful
from cases.history import History
from cases.samples import ALICE, everyone, history_of
from chain.types import UpdateRevealed

STEPS = ("A2", "A3", "A4", "A5", "A6", "A7", "A8")


def cases() -> Iterator[Case]:
    """The verb's cases."""
    yield _case("every_event", eventful())
    history = history_of()
    history.play(everyone(history))
    digest = next(e.event.reveal.update_digest.hex() for e in history.entries
                  if isinstance(e.event, UpdateRevealed) and e.event.client == ALICE)  # fmt: skip
    history.blobs[digest] = history.blobs[digest][:-1] + b"\xff"
    yield _case("update_tampered_fail", history, [("A5", 1)], "A6", "A7")


def _case(
    name: str,
    history: History,
    findings: Sequence[tuple[str, int]] = (),
    *not_reached: str,
    **log: Any,
) -> Case:
    found = {step: "findings" for step, _ in findings}
    steps: Mapping[str, str] = (
        dict.fromkeys(STEPS, "clean") | dict.fromkeys(not_reached, "not reached") | found
    )
    case = case_of("audit", name, history, {}, **log)
    expected = {
        "steps": steps,
        "findings": [list(one) for one in findings],
        "final_digest": case.state["view"]["parent_digest"],
    }
    return Case("audit", name, expected, case.logs, case.state, case.blobs)
