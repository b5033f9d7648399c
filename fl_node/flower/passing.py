"""A train message that is passed on to the app, as a learner: so that a node's update is made as any other member's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from flwr.app import ConfigRecord, Context, Message, MessageType, MetricRecord
from flwr.clientapp.typing import ClientAppCallable

from fl_node.arrays import Arrays
from fl_node.code.requirements import installed
from fl_node.errors import BadData, Misuse, NothingToSend
from fl_node.flower.inner import MESSAGES
from fl_node.flower.learner import STATE_BASE
from fl_node.flower.records import KEY
from fl_node.flower.reply import arrays_of, examples_of, number, one_line, read_reply
from fl_node.flower.state import kept
from fl_node.learner import Assignment, Measured, StepProgress, Trained, no_progress
from fl_node.manifest.code_learners import FlowerLearner
from fl_node.manifest.manifest import Manifest

MEASURED: Final = f"{KEY}.measured"
"""The record in `Context.state` with what the app measured when it last evaluated a model."""


class ServerDiffers(BadData):
    """The server's message does not go with what chain and store say."""


@dataclass(frozen=True, slots=True)
class PassingLearner:
    """Trains once, in one round, by passing on one message.

    Attributes:
        message, context, call_next: As a mod receives them.
        choice: Names the losses and the metrics among the app's numbers.
        round: The task's round that the message belongs to.
        received: Digest of the model in the message, 32 bytes.
    """

    message: Message
    context: Context
    call_next: ClientAppCallable
    choice: FlowerLearner
    round: int
    received: bytes

    def steps_for(self, epochs: int) -> int:
        """1: how much a round trains is the app's own matter."""
        return 1

    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        """Pass the message on.

        Returns:
            The reply's arrays; as private arrays the whole reply, for a node that is killed before it could send it.

        Raises:
            TrainingFailed: The app raised an error, or its reply cannot be used.
            TrainingDiverged: The reply's tensors are not finite.
            Misuse: The chain is in another round.
            CodeRefused: A package that the task requires is missing, or has another version.
        """
        if assignment.round != self.round:
            raise Misuse(f"round {self.round}, to which the message belongs, is over")
        with one_line(MessageType.TRAIN):
            reply = read_reply(MessageType.TRAIN, self.call_next(self.message, self.context))
        if reply is None:
            raise NothingToSend("the Flower app has no fit: it cannot train")
        most = STATE_BASE + 4 * sum(array.nbytes for array in assignment.model.values())
        return Trained(
            shared=arrays_of(reply, assignment.model, positional=False),
            private=kept(reply.content, most),
            num_examples=examples_of(reply, MESSAGES.examples),
            steps=1,
            training_loss=self._loss(self.choice.losses.training, reply.numbers),
            metrics=self._metrics(reply.numbers),
            versions=installed(self.choice.requires),
        )

    def measure(self, model: Arrays, private: Arrays | None, training: bool = False) -> Measured:
        """What the app measured when the server last had it evaluate this model; loss 0 if it never did."""
        numbers = _measured(self.context, self.received)
        return Measured(self._loss(self.choice.losses.held_out, numbers), self._metrics(numbers))

    def _metrics(self, numbers: Mapping[str, int | float]) -> dict[str, float]:
        return {name: number(numbers, name) for name in self.choice.metrics if name in numbers}

    def _loss(self, name: str | None, numbers: Mapping[str, int | float]) -> float:
        return number(numbers, name) if name in numbers else 0.0


def flower_learner(manifest: Manifest) -> FlowerLearner:
    """The learner of a task that a Flower federation can carry out.

    Raises:
        Misuse: The learner is no Flower app, or the aggregation keeps a state of its own, which no Flower message has.
    """
    learner = manifest.learner
    if not isinstance(learner, FlowerLearner):
        raise Misuse(f'the task has learner.kind = "{learner.kind}"; "flower" is expected here')
    if manifest.strategy.slots:
        raise Misuse(
            f"strategy.combine = {manifest.strategy.combine.kind} keeps a state beside the model, which does not "
            "travel in Flower's messages: use a rule without one, such as weighted_mean"
        )
    return learner


def remember_measured(context: Context, digest: bytes, numbers: Mapping[str, int | float]) -> None:
    """Keep what the app measured on a model, for the update that is trained from it."""
    context.state[KEY] = ConfigRecord({"digest": digest.hex()})
    context.state[MEASURED] = MetricRecord(dict(numbers))


def _measured(context: Context, digest: bytes) -> dict[str, int | float]:
    model, numbers = context.state.get(KEY), context.state.get(MEASURED)
    if not isinstance(model, ConfigRecord) or model.get("digest") != digest.hex():
        return {}
    if not isinstance(numbers, MetricRecord):
        return {}
    return {name: value for name, value in numbers.items() if isinstance(value, int | float)}
