"""A member's own update on its way into the store: when the upload begins, and when it is of no more use."""

from __future__ import annotations

import time
from functools import partial

from chain.types import Look, Phase, TaskState
from fl_node.member.state import NodeState, Plan
from fl_node.member.uplink import Slow, slow_uplink
from fl_node.member.uploading import Uploads

UPLOAD_SECONDS = 1.0
"""How long a step waits for an upload, so that a small update is revealed in the step that sends it."""


def may_still_count(state: TaskState, index: int, now: int) -> bool:
    """Whether an update that the member at `index` planned for the current round may still be revealed in this attempt.

    Args:
        state: The task as the contract shows it.
        index: The member's index.
        now: The chain's time in seconds.
    """
    member = 1 << index
    if state.phase is Phase.COMMIT:
        return bool((state.awaited | state.committed) & member)
    return state.phase is Phase.REVEAL and bool(state.awaited & member) and now <= state.deadline


class Sending:
    """Sends the updates that a member has planned.

    Args:
        state: The member's state folder, which has the updates.
        uploads: The node's uploads.
        index: The member's index.
    """

    def __init__(self, state: NodeState, uploads: Uploads, index: int) -> None:
        self._state = state
        self._uploads = uploads
        self._index = index

    def begin_early(self, look: Look) -> None:
        """Once the member has committed: upload a sealed update while others still train. A plain one has to wait."""
        if plan := self._sealed(look.state):
            self._send(
                plan, max(0, look.state.deadline - look.now) + look.state.terms.reveal_window
            )

    def go_on(self, look: Look) -> None:
        """While others still train: upload a sealed update, if that has not begun or has failed.

        Raises:
            StoreUnusable: It has failed; call again later.
        """
        self.begin_early(look)
        if (plan := self._sealed(look.state)) and plan.opening:
            self._uploads.arrived(plan.opening.update_digest)

    def arrived(self, look: Look, plan: Plan) -> bool:
        """Upload a planned update if that has not begun, and tell whether it is there; waits for it a moment.

        Raises:
            StoreUnusable: The store cannot be reached, or the upload failed; call again later.
        """
        assert plan.opening is not None
        self._send(plan, look.state.deadline - look.now)
        return self._uploads.arrived(plan.opening.update_digest, UPLOAD_SECONDS)

    def under_way(self, look: Look) -> set[bytes]:
        """The digest of the update that others may still wait for; empty if there is none."""
        if not may_still_count(look.state, self._index, look.now):
            return set()
        plan = self._state.plan(look.state.round, look.state.parent_digest)
        return {plan.opening.update_digest} if plan is not None and plan.opening else set()

    def slow(self, state: TaskState, plan: Plan) -> Slow | None:
        """Whether a planned update is too large for the uplink, as far as that has been measured."""
        if self._uploads.rate is None or plan.opening is None:
            return None
        size = len(self._state.update(plan.round, plan.opening.update_digest))
        return slow_uplink(size, self._uploads.rate, state.terms.reveal_window, plan.sealed)

    def _sealed(self, state: TaskState) -> Plan | None:
        plan = self._state.plan(state.round, state.parent_digest)
        return plan if plan is not None and plan.sealed else None

    def _send(self, plan: Plan, seconds: float) -> None:
        assert plan.opening is not None
        digest = plan.opening.update_digest
        update = partial(self._state.update, plan.round, digest)
        self._uploads.send(digest, update, time.monotonic() + seconds)
