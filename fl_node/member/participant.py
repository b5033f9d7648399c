"""The node: looks at the ledger and takes the next action. It can be killed at any point and started again.

`next_action` decides, `Participant` acts. Everything that must survive a crash is on chain, in the store, or in the
node's state folder; the object itself holds nothing that could not be read again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from chain.errors import (
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
from chain.types import Phase, Receipt, Reveal, TaskState
from fl_node.arrays import Arrays
from fl_node.blobs.model import Model, decode_model, load_model
from fl_node.blobs.store import Store
from fl_node.errors import BlobMalformed, Misuse, NothingToSend
from fl_node.history.growing_past import GrowingPast
from fl_node.history.kept import KeptLog
from fl_node.learner import Learner, StepProgress, no_progress
from fl_node.manifest.manifest import Manifest
from fl_node.member.next_action import Action, next_action
from fl_node.member.receiving import receive
from fl_node.member.state import NodeState, Plan
from fl_node.member.waiting import patiently
from fl_node.round.aggregate import Aggregated, aggregate_round
from fl_node.round.contribute import Received, UpdateId, contribute
from fl_node.round.dry_run import DryRun, dry_run
from fl_node.round.form import state_objection
from fl_node.round.policy import OPEN, Policy

OVERTAKEN = (
    DeadlineAhead,
    DeadlinePassed,
    NotAbsent,
    NotAwaited,
    PhaseMismatch,
    RoundMismatch,
)
"""Rejections which mean only that somebody else was faster: look at the state again."""


@dataclass(frozen=True, slots=True)
class Step:
    """One action taken: the state that led to it, and its receipt.

    `receipt` is None if there was nothing to do, or if others were faster. `reason` says why a round was declined.
    """

    action: Action
    state: TaskState
    receipt: Receipt | None
    reason: str = ""


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
        attests: Whether it aggregates the revealed updates and attests to the result; if not, the caller attests.
        policy: The node's own; an update that it does not allow does not leave.

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
    ) -> None:
        if ledger.account not in manifest.addresses:
            raise Misuse(f"{ledger.account} is not a member of task {task}")
        self._ledger = ledger
        self._store = store
        self._learner = learner
        self._task = task
        self._manifest = manifest
        self._state = state
        self._progress = progress
        self._attests = attests
        self._policy = policy
        self._index = manifest.addresses.index(ledger.account)
        self._log = KeptLog(ledger, task, state.log_file)
        self._past = GrowingPast(manifest.addresses)
        self._made: Model | None = None

    def step(self) -> Step:
        """Take the next action.

        Raises:
            CallRejected: The contract refused for a reason that will not pass.
            ChainUnreachable, ChainRefused: The chain gave no answer, or refused for now; call again later.
            TransactionFailed: A transaction failed in its block but would succeed now; call again.
            StoreUnusable: The store cannot be reached; call again later.
            BadData: The round's parent model is missing from the store, damaged, or no model of this task; call again
                later.
            HistoryInvalid: The ledger's log and state disagree; call again later.
        """
        look = self._ledger.look(self._task)
        state = look.state
        action = next_action(state, self._index, look.now)
        try:
            return self._act(action, state)
        except OVERTAKEN:
            return Step(action, state, None)

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

    def _act(self, action: Action, state: TaskState) -> Step:
        if action is not Action.COMMIT:
            return Step(action, state, self._carry_out(action, state))
        try:
            plan = self._state.plan(state.round, state.parent_digest) or self._train(state)
        except NothingToSend as reason:
            # Decline, so that the others need not wait for an update.
            return self._skip(state, shown(reason))
        if plan.opening is None:
            return self._skip(state, "the update was not worth sending")
        return Step(action, state, self._commit(state, plan.opening))

    def _skip(self, state: TaskState, reason: str) -> Step:
        receipt = self._ledger.skip(self._task, state.round)
        return Step(Action.SKIP, state, receipt, reason)

    def _carry_out(self, action: Action, state: TaskState) -> Receipt | None:
        match action:
            case Action.REVEAL:
                return self._reveal(state)
            case Action.ATTEST if self._attests:
                return self._attest(state)
            case Action.ADVANCE:
                return self._ledger.advance(self._task)
            case Action.REJOIN:
                return self._ledger.rejoin(self._task)
            case _:
                return None

    def _commit(self, state: TaskState, opening: Reveal) -> Receipt:
        ledger = self._ledger
        commitment = commitment_of(
            ledger.chain_id, ledger.contract, self._task, state.round, ledger.account, opening
        )
        return ledger.commit(self._task, state.round, commitment)

    def _train(self, state: TaskState) -> Plan:
        contribution = contribute(*self._training(state), self._progress, self._policy)
        return self._state.keep(state.round, state.parent_digest, contribution)

    def _training(
        self, state: TaskState
    ) -> tuple[Manifest, UpdateId, Learner, Received, Arrays | None]:
        """With what the member trains in the current round: the first arguments of `contribute`."""
        update_id = UpdateId(self._task, state.round, self._ledger.account, state.parent_digest)
        private = self._state.private(state.round)
        return self._manifest, update_id, self._learner, self._received(state), private

    def _reveal(self, state: TaskState) -> Receipt | None:
        plan = self._state.plan(state.round, state.parent_digest)
        if plan is None or plan.opening is None:
            return None  # The committed update was in a state folder that is lost: wait for the deadline.
        self._store.put(self._state.update(plan.round, plan.opening.update_digest))
        return self._ledger.reveal(self._task, state.round, plan.opening)

    def _attest(self, state: TaskState) -> Receipt:
        aggregated = self._aggregate(state)
        digest = self._store.put(aggregated.blob)
        self._made = Model(digest, decode_model(aggregated.blob))
        return self._ledger.attest(self._task, state.round, digest, aggregated.included)

    def _aggregate(self, state: TaskState) -> Aggregated:
        with self._log.read_to(state.history_head) as log:
            attempts = log.attempts()
        return aggregate_round(
            self._store, self._manifest, self._parent(state), attempts.reveals, attempts.abandoned
        )

    def _received(self, state: TaskState) -> Received:
        """The parent, and what the strategy needs of the past; only if it needs something is the log read."""
        parent = self._parent(state).arrays
        if not self._manifest.strategy.needs_past:
            return Received(parent)
        with self._log.read_to(state.history_head) as log:
            return receive(
                self._manifest,
                self._ledger.account,
                state.round,
                parent,
                log,
                self._past,
                self._store,
                self._load,
            )

    def _parent(self, state: TaskState) -> Model:
        return self._load(state.parent_digest)

    def _load(self, digest: bytes) -> Model:
        # A node that aggregated the last round still has its model, and so downloads only the (small) updates.
        if self._made is not None and self._made.digest == digest:
            return self._made
        model = load_model(self._store, digest, self._manifest.limits.model_bytes)
        if objection := state_objection(self._manifest, model.arrays):
            raise BlobMalformed(f"no round can start from the model {digest.hex()}: {objection}")
        return model


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
        poll: Seconds between looks at the ledger while there is nothing to do; doubled after each error, up to 30.
        patience: Seconds of unbroken failure after which the error is raised.
        sleep: Waits; replaced in tests.

    Raises:
        Any of `PASSING`: The error did not pass in time.
        CallRejected: As for `Participant.step`.
    """
    while True:
        step = patiently(participant.step, notice, patience, poll, sleep)
        notice(step)
        if step.action is Action.FINISHED:
            return
        if step.receipt is None:
            sleep(poll)
