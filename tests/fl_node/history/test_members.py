"""A task's members, from its log alone."""

from __future__ import annotations

import pytest
from doubles import MEMBERS

from chain.errors import HistoryInvalid, TaskUnknown
from chain.memory_ledger import MemoryLedger
from chain.types import TaskOpened, Terms
from fl_node.history.members import members_of

TERMS = Terms(2, 60, 60, 60, 10_000, 3, 1, 5_000)


class Lagging(MemoryLedger):
    """A ledger whose state is there before its log."""

    def opening(self, task: int) -> TaskOpened | None:
        return None


def opened(ledger: MemoryLedger) -> MemoryLedger:
    ledger.open_task(b"\1" * 32, b"\2" * 32, MEMBERS, TERMS)
    return ledger


def test_are_those_that_it_was_opened_with() -> None:
    assert members_of(opened(MemoryLedger()), 1) == MEMBERS


def test_of_a_task_that_is_not() -> None:
    with pytest.raises(TaskUnknown):
        members_of(opened(MemoryLedger()), 2)


def test_a_log_that_lags_behind_the_state_is_no_reason_to_give_up() -> None:
    with pytest.raises(HistoryInvalid, match=r"does not show the opening of task 1 \(yet\)"):
        members_of(opened(Lagging()), 1)
