"""The node: looks at the ledger and takes the next action. It can be killed at any point and started again.

`next_action` decides, `Participant` acts. Everything that must survive a crash is on chain, in the store, or in the
node's state folder; the object itself holds nothing that could not be read again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from chain.errors import (
    CommitmentMismatch,
    DeadlineAhead,
    DeadlinePassed,
    NotAbsent,
    NotAwaited,
    PhaseMismatch,
    RoundMismatch,
)
from chain.history import commitment_of
from chain.ledger import Ledger
from chain.text import shown
from chain.types import Look, Phase, Receipt, Reveal, TaskState
from fl_node.arrays import Arrays
from fl_node.blobs.store import Store
from fl_node.errors import Misuse, NothingToSend
from fl_node.learner import Learner, StepProgress, no_progress
from fl_node.manifest.manifest import Manifest
from fl_node.member.next_action import Action, next_action
from fl_node.member.sending import Sending
from fl_node.member.sources import Sources
from fl_node.member.state import NodeState, Plan
from fl_node.member.storing import Storing
from fl_node.member.uplink import Slow, largest_of, slow_uplink
from fl_node.member.uploading import Uploads
from fl_node.round.contribute import Received, UpdateId, contribute
from fl_node.round.dry_run import DryRun, dry_run
from fl_node.round.policy import OPEN, Policy

OVERTAKEN = (
    CommitmentMismatch,
    DeadlineAhead,
    DeadlinePassed,
    NotAbsent,
    NotAwaited,
    PhaseMismatch,
    RoundMismatch,
)
"""Rejections which mean only that somebody else was faster, a second node with the same key among them: look at the
state again."""


SETTLED_FIRST = (Action.REVEAL, Action.ATTEST, Action.FINISHED)
"""What is not done on a state that a reorganisation may still take back: it shows an update, or votes, or leaves."""


@dataclass(frozen=True, slots=True)
class Step:
    """One action taken: the state that led to it, and its receipt.

    `receipt` is None if there was nothing to do, if others were faster, or while the update is on its way to the store.
    `reason` says why a round was declined. `slow` warns, with a commitment, that the update will not be there in time.
    `next_block` is in how many seconds the chain's next block is due; 0 if nobody knows.
    """

    action: Action
    state: TaskState
    receipt: Receipt | None
    reason: str = ""
    slow: Slow | None = None
    next_block: float = 0.0

    @property
    def uploading(self) -> bool:
        """Whether the update is on its way to the store, and the reveal waits for it."""
        return self.action is Action.REVEAL and self.receipt is None

    @property
    def moved(self) -> bool:
        """Whether the task moved on with this action, so that there may be something to do at once."""
        return self.receipt is not None and len(self.receipt.entries) > 1


class Participant:
    """One member taking part in one task.

    Args:
        ledger: The ledger as this member's account sees it.
        store: Holds the task's blobs; updates and aggregates are published here.
        learner: Trains on this member's data.
        task: The task's number.
        manifest: The task's manifest, already verified against the digest on chain.
        state: The member's state folder.
        progress: Called with the training steps.
        attests: Whether it aggregates the revealed updates and attests to the result, and computes a round again that
            it did not attest to; if not, the caller attests.
        policy: The node's own; an update that it does not allow does not leave.
        uploads: Carry blobs into the store beside the steps; by default each step waits for its own.
        early: Whether updates go into the store sealed, from the commitment on, while others still train.

    Raises:
        Misuse: The account is no member of the task.
    """

    def __init__(
        self,
        ledger: Ledger,
        store: Store,
        learner: Learner,
        task: int,
        manifest: Manifest,
        state: NodeState,
        progress: StepProgress = no_progress,
        attests: bool = True,
        policy: Policy = OPEN,
        uploads: Uploads | None = None,
        early: bool = False,
    ) -> None:
        if ledger.account not in manifest.addresses:
            raise Misuse(f"{ledger.account} is not a member of task {task}")
        self._ledger = ledger
        self._learner = learner
        self._task = task
        self._manifest = manifest
        self._state = state
        self._progress = progress
        self._attests = attests
        self._policy = policy
        self._early = early
        self._index = manifest.addresses.index(ledger.account)
        self._uploads = uploads or Uploads(store)
        self._sending = Sending(state, self._uploads, self._index)
        self._sources = Sources(ledger, store, task, manifest, state, checks=attests)
        self._storing = Storing(
            store, self._uploads, self._sources.models, self._index, len(manifest.addresses)
        )

    def step(self) -> Step:
        """Take the next action. An upload goes on beside it; of one that is of no more use the step says so and ends.

        Raises:
            CallRejected: The contract refused for a reason that will not pass.
            ModelDisputed: A quorum made a model final that its round's updates do not come to.
            ChainUnreachable, ChainRefused: The chain gave no answer, or refused for now; call again later.
            TransactionFailed: A transaction failed in its block but would succeed now; call again.
            StoreUnusable: The store cannot be reached; call again later. Or an upload was given up (`StoreSlow`).
            BadData: The round's parent model is missing from the store, damaged, or no model of this task; call again
                later.
            HistoryInvalid: The ledger's log and state disagree; call again later.
        """
        look = self._ledger.look(self._task)
        self._give_up_what_is_late(look)
        action = next_action(look.state, self._index, look.now)
        if action in SETTLED_FIRST and not look.settled:
            action = Action.WAIT
        try:
            step = self._act(action, look)
        except OVERTAKEN:
            step = Step(action, look.state, None)
        return replace(step, next_block=look.next_block)

    def measure_uplink(self, measure: Callable[[int], float]) -> Slow | None:
        """Measure the uplink before the first round; what to warn of, or None if it is fast enough.

        Args:
            measure: Given the bytes of the largest possible update, the uplink's rate in bytes per second.

        Raises:
            ChainUnreachable, StoreUnusable, BadData, HistoryInvalid, ModelDisputed: As `step`.
        """
        state = self._ledger.task_state(self._task)
        if state.phase is Phase.FINISHED:
            return None
        size = largest_of(self._manifest, self._sources.parent(state), self._ledger.account)
        self._uploads.rate = measure(size)
        return slow_uplink(size, self._uploads.rate, state.terms.reveal_window, self._early)

    def dry_run(self) -> DryRun:
        """Train for the current round from the task's current model; send nothing and keep nothing.

        Raises:
            NothingToSend: There would be no update; the message says why.
            Misuse: The task is finished.
            ChainUnreachable, StoreUnusable, BadData, HistoryInvalid: As `step`.
        """
        state = self._ledger.task_state(self._task)
        if state.phase is Phase.FINISHED:
            raise Misuse(f"task {self._task} is finished: there is no round to train for")
        return dry_run(*self._training(state), self._progress, self._policy)

    def _act(self, action: Action, look: Look) -> Step:
        state = look.state
        match action:
            case Action.COMMIT:
                return self._commit_or_skip(look)
            case Action.REVEAL:
                return Step(action, state, self._reveal(look))
            case Action.ATTEST if self._attests:
                return Step(action, state, self._attest(look))
            case Action.ADVANCE:
                return Step(action, state, self._ledger.advance(self._task))
            case Action.REJOIN:
                return Step(action, state, self._ledger.rejoin(self._task))
            case _:
                return self._idle(action, look)

    def _commit_or_skip(self, look: Look) -> Step:
        state = look.state
        try:
            plan = self._state.plan(state.round, state.parent_digest) or self._train(state)
        except NothingToSend as reason:
            # Decline, so that the others need not wait for an update.
            return self._skip(state, shown(reason))
        if plan.opening is None:
            return self._skip(state, "the update was not worth sending")
        receipt = self._commit(state, plan.opening)
        self._sending.begin_early(look)
        return Step(Action.COMMIT, state, receipt, slow=self._sending.slow(state, plan))

    def _skip(self, state: TaskState, reason: str) -> Step:
        receipt = self._ledger.skip(self._task, state.round)
        return Step(Action.SKIP, state, receipt, reason)

    def _commit(self, state: TaskState, opening: Reveal) -> Receipt:
        ledger = self._ledger
        commitment = commitment_of(
            ledger.chain_id, ledger.contract, self._task, state.round, ledger.account, opening
        )
        return ledger.commit(self._task, state.round, commitment)

    def _train(self, state: TaskState) -> Plan:
        contribution = contribute(*self._training(state), self._progress, self._policy)
        return self._state.keep(state.round, state.parent_digest, contribution, self._early)

    def _training(
        self, state: TaskState
    ) -> tuple[Manifest, UpdateId, Learner, Received, Arrays | None]:
        """With what the member trains in the current round: the first arguments of `contribute`."""
        update_id = UpdateId(self._task, state.round, self._ledger.account, state.parent_digest)
        private = self._state.private(state.round)
        return self._manifest, update_id, self._learner, self._sources.received(state), private

    def _reveal(self, look: Look) -> Receipt | None:
        plan = self._state.plan(look.state.round, look.state.parent_digest)
        if plan is None or plan.opening is None:
            return None  # The committed update was in a state folder that is lost: wait for the deadline.
        if not self._sending.arrived(look, plan):
            return None
        return self._ledger.reveal(self._task, look.state.round, plan.opening)

    def _attest(self, look: Look) -> Receipt:
        state = look.state
        aggregated = self._sources.aggregate(state)
        digest = aggregated.digest
        self._sources.models.keep(digest, aggregated.blob, state.parent_digest)
        self._storing.begin(look, digest, aggregated.blob, aggregated.included)
        receipt = self._ledger.attest(self._task, state.round, digest, aggregated.included)
        self._storing.decided(look, digest, receipt.entries)
        return receipt

    def _idle(self, action: Action, look: Look) -> Step:
        """Nothing is to be done on chain: see to the store."""
        state = look.state
        if state.phase is Phase.COMMIT and state.committed >> self._index & 1:
            self._sending.go_on(look)
        if not self._storing.go_on(look) and action is Action.FINISHED:
            return Step(Action.WAIT, state, None)
        return Step(action, state, None)

    def _give_up_what_is_late(self, look: Look) -> None:
        """End the uploads that nobody waits for any more: they would keep the next round's from the uplink.

        Raises:
            StoreSlow: One was still under way; says how far it had come.
        """
        wanted = self._sending.under_way(look) | self._storing.under_way(look.state)
        for slow in self._uploads.keep_only(wanted):
            raise slow
