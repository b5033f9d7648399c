"""The node's loop: step, look again, and wait out what may pass."""

from __future__ import annotations

import time
from collections.abc import Callable

from fl_node.member.next_action import Action
from fl_node.member.participant import Participant, Step
from fl_node.member.waiting import patiently

Notice = Callable[[Step | Exception], None]
"""Called with each action taken and each error that is waited out."""


def take_part(
    participant: Participant,
    notice: Notice,
    poll: float = 1.0,
    patience: float = 600.0,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Step until the task is finished, and retry after errors that may pass.

    Args:
        participant: The member.
        notice: Called with every step and every error that is waited out.
        poll: Seconds from look to look while there is nothing to do, if no block is due later; doubled after each
            error, up to 30.
        patience: Seconds of unbroken failure after which the error is raised.
        sleep: Waits; replaced in tests.

    Raises:
        Any of `PASSING`: The error did not pass in time.
        CallRejected, ModelDisputed: As for `Participant.step`.
    """
    while True:
        looked = time.monotonic()
        step = patiently(participant.step, notice, patience, poll, sleep)
        notice(step)
        if step.action is Action.FINISHED:
            return
        if not step.moved:
            due = max(0.0, looked + poll - time.monotonic())
            # An upload that arrives before the next block can be revealed in it; and in the block that has this act,
            # another member's may have moved the task on.
            soon = step.uploading or step.receipt is not None
            sleep(due if soon else max(due, step.next_block))
