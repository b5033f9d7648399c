"""A client mod that puts what a SuperNode sends on the ledger, with the member's own key.

A train message goes to the app and its reply to the server, as ever. In between, the mod writes the difference between
the reply's arrays and the received ones as an update, commits to it, waits until everybody has committed, and reveals
it. In the first message after the aggregation the server announces which updates it averaged; the mod attests to that
set and to the digest of the arrays that it received. With `verify`, it first aggregates the updates itself, and refuses
what differs.

Flower may call each message in a process of its own. What the mod must remember lies on chain, in the store, and in the
member's state folder, so that a SuperNode that was killed reveals what it had committed to.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from flwr.app import Context, Error, Message, MessageType, RecordDict
from flwr.clientapp.typing import ClientAppCallable, Mod

from chain.errors import LedgerError
from chain.ledger import Ledger
from chain.text import shown
from chain.types import Phase, Receipt, TaskState
from fl_node.arrays import Arrays, unprefixed
from fl_node.blobs.digest import digest_of
from fl_node.blobs.model import encode_model
from fl_node.blobs.store import Store
from fl_node.errors import GanchorError, Misuse, NothingToSend
from fl_node.flower.passing import (
    PassingLearner,
    ServerDiffers,
    flower_learner,
    remember_measured,
)
from fl_node.flower.records import (
    KEY,
    Anchor,
    Announcement,
    Decline,
    anchor_record,
    read_request,
    received_arrays,
)
from fl_node.flower.reply import read_reply
from fl_node.flower.settling import aggregate_current
from fl_node.flower.state import restored
from fl_node.history.kept import KeptLog
from fl_node.manifest.manifest import Manifest
from fl_node.member.next_action import Action
from fl_node.member.participant import OVERTAKEN, Participant
from fl_node.member.state import Membership, NodeState, Plan
from fl_node.member.waiting import patiently
from fl_node.round.contribute import TRAINING

T = TypeVar("T")

REFUSED: Final = 6
"""Flower's code for a mod that cannot go on (`ErrorCode.MOD_FAILED_PRECONDITION`)."""

MORE_ATTEMPTS: Final = 3
"""How often a round may be aborted and opened again before a node tells the server that nothing comes of it."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A member's part in a task, as a SuperNode takes it.

    Attributes:
        ledger: The ledger as the member's account sees it.
        store: Holds the task's blobs.
        task: The task's number.
        manifest: The task's manifest, already verified against the digest on chain.
        folder: The member's state folder.
        verify: Whether to aggregate a round's updates again before attesting to what the server made of them.
    """

    ledger: Ledger
    store: Store
    task: int
    manifest: Manifest
    folder: Path
    verify: bool = False


OpenSeat = Callable[[Context], Seat]
"""Finds the member that a node acts for; called with every message."""


def anchoring(
    open_seat: OpenSeat,
    poll: float = 0.5,
    patience: float = 60.0,
    sleep: Callable[[float], None] = time.sleep,
) -> Mod:
    """Make the mod. It belongs first in an app's `mods`, so that it sees what really leaves the node.

    Args:
        open_seat: Gives ledger, store and task. May raise any of the project's errors.
        poll: Seconds between looks at the chain while others are awaited.
        patience: Seconds of unbroken failure of chain or store after which a message is answered with an error.
        sleep: Waits; replaced in tests.
    """

    def anchor_mod(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
        try:
            node = _Node(open_seat(context), poll, patience, sleep)
            return node.answer(message, context, call_next)
        except (GanchorError, LedgerError) as error:
            return Message(Error(REFUSED, f"{KEY}: {shown(error)}"), reply_to=message)

    return anchor_mod


@dataclass(frozen=True, slots=True)
class _Node:
    """Answers one message."""

    seat: Seat
    poll: float
    patience: float
    sleep: Callable[[float], None]

    def answer(self, message: Message, context: Context, call_next: ClientAppCallable) -> Message:
        request = read_request(message.content)
        if request is None:
            return self._pass_on(message, context, call_next)
        if isinstance(request, Decline):
            self._decline(request.round)
            return Message(RecordDict(), reply_to=message)
        attempt = self._attest(request, received_arrays(message.content))
        # The app shall see what it would see without a ledger.
        message.content = RecordDict({k: v for k, v in message.content.items() if k != KEY})
        reply = Message(RecordDict(), reply_to=message)
        if not request.only:
            reply = self._pass_on(message, context, call_next)
        self._await_result(attempt)
        return reply

    def _pass_on(self, message: Message, context: Context, call_next: ClientAppCallable) -> Message:
        match message.metadata.message_type.partition(".")[0]:
            case MessageType.TRAIN:
                return self._train(message, context, call_next)
            case MessageType.EVALUATE:
                return self._evaluate(message, context, call_next)
            case _:
                return call_next(message, context)

    def _train(self, message: Message, context: Context, call_next: ClientAppCallable) -> Message:
        seat, digest = self.seat, _digest_of(message.content)
        first = self._state()
        self._verify_parent(first, digest)
        choice = flower_learner(seat.manifest)
        learner = PassingLearner(message, context, call_next, choice, first.round, digest)
        with self._folder() as folder:
            participant = Participant(
                seat.ledger,
                seat.store,
                learner,
                seat.task,
                seat.manifest,
                folder,
                attests=False,
            )
            self._reveal(participant, first)
            plan = folder.plan(first.round, digest)
            content = restored(unprefixed(TRAINING, folder.private(first.round + 1) or {}))
        content[KEY] = anchor_record(_anchor(seat, plan))
        return Message(content, reply_to=message)

    def _reveal(self, participant: Participant, first: TaskState) -> None:
        """Commit and reveal, and wait until all have revealed who will."""
        while (state := self._state()).round == first.round:
            takes_part = (state.awaited | state.committed) & self._bit
            if state.phase in (Phase.ATTEST, Phase.FINISHED):
                return
            step = self._patiently(participant.step)
            if step.action is Action.SKIP:
                raise NothingToSend(f"this member declined round {state.round}: {step.reason}")
            if not takes_part and step.action is not Action.ADVANCE:
                raise NothingToSend(f"this member does not take part in round {state.round}")
            if state.attempt > first.attempt + MORE_ATTEMPTS:
                raise NothingToSend(f"round {state.round} was aborted {state.attempt} times")
            if step.receipt is None:
                self.sleep(self.poll)

    def _decline(self, round: int) -> None:
        """Say on chain that this member sits the round out, unless it has acted in it already."""
        ledger, task = self.seat.ledger, self.seat.task
        if self._state().absent & self._bit:
            self._call(lambda: ledger.rejoin(task))
        else:
            self._call(lambda: ledger.skip(task, round))

    def _verify_parent(self, state: TaskState, digest: bytes) -> None:
        if state.phase is Phase.FINISHED:
            raise Misuse(f"task {self.seat.task} is finished, after {state.terms.rounds} rounds")
        if digest != state.parent_digest:
            raise ServerDiffers(
                f"the server sent another model to train than round {state.round} starts from: "
                f"expected {state.parent_digest.hex()}, got {digest.hex()}"
            )

    def _evaluate(
        self, message: Message, context: Context, call_next: ClientAppCallable
    ) -> Message:
        """Let the app evaluate, and keep what it measured: the next round's update states it."""
        digest = _digest_of(message.content)
        reply = call_next(message, context)
        if not reply.has_error() and (read := read_reply(MessageType.EVALUATE, reply)):
            remember_measured(context, digest, read.numbers)
        return reply

    def _attest(self, announced: Announcement, arrays: Arrays) -> TaskState:
        """Attest to what was received, if the chain is where the server says it is; return where it is."""
        seat = self.seat
        state = self._state()
        awaited = state.awaited & self._bit
        if (state.phase, state.round) != (Phase.ATTEST, announced.round) or not awaited:
            return state
        received = digest_of(encode_model(arrays))
        if received != announced.digest:
            raise ServerDiffers(
                f"the server announced model {announced.digest.hex()} and sent {received.hex()}"
            )
        if seat.verify:
            self._verify(state, announced)
        self._call(lambda: seat.ledger.attest(seat.task, state.round, received, announced.included))
        return state

    def _verify(self, state: TaskState, announced: Announcement) -> None:
        seat = self.seat
        with self._folder() as folder:
            kept = KeptLog(seat.ledger, seat.task, folder.log_file)
            aggregated = self._patiently(
                lambda: aggregate_current(kept, seat.store, seat.manifest, state)
            )
        if (aggregated.digest, aggregated.included) != (announced.digest, announced.included):
            raise ServerDiffers(
                f"round {state.round} does not come to what the server announced: expected "
                f"{aggregated.digest.hex()} of updates {aggregated.included:b}, "
                f"got {announced.digest.hex()} of {announced.included:b}"
            )

    def _await_result(self, attempt: TaskState) -> None:
        """Wait until the members have decided on an attempt, and end it after its deadline."""
        seat = self.seat
        while attempt.phase is Phase.ATTEST:
            look = self._patiently(lambda: seat.ledger.look(seat.task))
            if not _same(look.state, attempt):
                return
            if look.now > attempt.deadline:
                self._call(lambda: seat.ledger.advance(seat.task))
            else:
                self.sleep(self.poll)

    @property
    def _bit(self) -> int:
        """The member's bit in the chain's bitmaps."""
        return 1 << self.seat.manifest.addresses.index(self.seat.ledger.account)

    def _folder(self) -> NodeState:
        """The member's state folder, opened."""
        seat, ledger = self.seat, self.seat.ledger
        return NodeState(
            seat.folder, Membership(ledger.chain_id, ledger.contract, seat.task, ledger.account)
        )

    def _state(self) -> TaskState:
        return self._patiently(lambda: self.seat.ledger.task_state(self.seat.task))

    def _call(self, act: Callable[[], Receipt]) -> None:
        """Make a call to the chain; if others were faster, there is nothing left to do."""
        with contextlib.suppress(*OVERTAKEN):
            self._patiently(act)

    def _patiently(self, act: Callable[[], T]) -> T:
        return patiently(act, _ignore, self.patience, self.poll, self.sleep)


def _same(state: TaskState, other: TaskState) -> bool:
    return (state.round, state.attempt, state.phase) == (other.round, other.attempt, other.phase)


def _anchor(seat: Seat, plan: Plan | None) -> Anchor:
    if plan is None or plan.opening is None:
        raise NothingToSend("this member has no update in the round")
    return Anchor(seat.ledger.account, plan.opening.update_digest, plan.round)


def _digest_of(content: RecordDict) -> bytes:
    return digest_of(encode_model(received_arrays(content)))


def _ignore(outcome: object) -> None:
    """What passes is waited out in silence: Flower has a log of its own."""
