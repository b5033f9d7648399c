"""A task's members, from its log."""

from __future__ import annotations

from chain.errors import HistoryInvalid
from chain.ledger import Ledger
from chain.types import Address


def members_of(ledger: Ledger, task: int) -> tuple[Address, ...]:
    """The members that the task was opened with, in ascending order of address.

    Raises:
        TaskUnknown: No such task.
        HistoryInvalid: The log does not show the opening of the task: it lags behind the state, or begins too late.
    """
    ledger.task_state(task)  # The log of an unknown task is empty too.
    opening = ledger.opening(task)
    if opening is None:
        raise HistoryInvalid(
            f"the log does not show the opening of task {task} (yet); "
            "if that lasts, check the deployment's block number"
        )
    return opening.members
