"""A task's members, from its log."""

from __future__ import annotations

from chain.ledger import Ledger
from chain.types import Address
from fl_node.errors import Misuse
from fl_node.history import record


def members_of(ledger: Ledger, task: int) -> tuple[Address, ...]:
    """The members that the task was opened with, in ascending order of address.

    Raises:
        TaskUnknown: No such task.
        Misuse: The log does not contain the opening of the task.
    """
    ledger.task_state(task)  # The log of an unknown task is empty too.
    members = record.members_of(ledger.history(task))
    if not members:
        raise Misuse(
            f"the log does not contain the opening of task {task}: check the deployment's block number"
        )
    return members
