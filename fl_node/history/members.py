"""A task's members, from its log."""

from __future__ import annotations

from chain.ledger import Ledger
from chain.types import Address
from fl_node.errors import Misuse
from fl_node.history import record


def members_of(ledger: Ledger, task: int) -> tuple[Address, ...]:
    """The task's members as it was opened, in ascending order of address.

    Raises:
        TaskUnknown: No such task.
        Misuse: The log does not show the task's opening.
    """
    ledger.task_state(task)  # An unknown task has an empty log, too.
    members = record.members_of(ledger.history(task))
    if not members:
        raise Misuse(
            f"the log of task {task} does not begin with its opening; is the deployment's block right?"
        )
    return members
