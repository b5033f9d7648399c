"""An edge tier: a member whose devices are the SuperNodes of a Flower federation, as a learner.

The member's node runs inside a ServerApp. For example, a hospital with a SuperNode in each ward takes part in a task
with other hospitals: in each round of the task its wards train, and their mean is its update. Nothing of a single ward
leaves the hospital.

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        run_edge_node(grid)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from flwr.app import ConfigRecord, Message, MessageType, RecordDict
from flwr.serverapp import Grid

from fl_node.arrays import Arrays
from fl_node.code.requirements import installed
from fl_node.errors import TrainingFailed
from fl_node.flower.inner import MESSAGES
from fl_node.flower.records import array_record, reason_of
from fl_node.flower.reply import Reply, arrays_of, examples_of, number, read_reply
from fl_node.learner import Assignment, Measured, StepProgress, Trained, no_progress
from fl_node.manifest.code_learners import FlowerLearner
from fl_node.strategy.train.averages import mean_arrays

TIMEOUT: Final = 3600.0
"""Seconds to wait for the nodes' replies: as long as Flower's strategies wait."""


@dataclass(frozen=True, slots=True)
class GridLearner:
    """The nodes of a grid as one learner: each trains on its own data, and the result is their mean.

    Attributes:
        grid: Reaches the nodes; all that are there when a round begins take part.
        choice: The task's learner; names the losses and the metrics among the app's numbers.
        least: So many nodes must answer, > 0; with fewer, the member declines the round.
        timeout: Seconds to wait for the nodes.
        config: What the nodes find in their messages beside the number of the round.
    """

    grid: Grid
    choice: FlowerLearner
    least: int = 1
    timeout: float = TIMEOUT
    config: ConfigRecord = field(default_factory=ConfigRecord)

    def steps_for(self, epochs: int) -> int:
        """1: how much a round trains is the app's own matter."""
        return 1

    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        """One round over the nodes, averaged by number of examples. A node that replies with an error is left out.

        Raises:
            TrainingFailed: Fewer than `least` nodes replied without an error, or a reply cannot be used.
            TrainingDiverged: A reply's tensors are not finite.
        """
        messages = self._messages(MessageType.TRAIN, assignment.model, assignment.round)
        answers = [
            (reply, arrays_of(reply, assignment.model, positional=False))
            for reply in self._ask(MessageType.TRAIN, messages)
        ]
        weights = [examples_of(reply, MESSAGES.examples) for reply, _ in answers]
        numbers = _means([reply for reply, _ in answers], weights)
        trained = Trained(
            shared=mean_arrays([arrays for _, arrays in answers], weights),
            private={},
            num_examples=sum(weights),
            steps=1,
            training_loss=self._loss(self.choice.losses.training, numbers),
            metrics=self._metrics(numbers),
            versions=installed(self.choice.requires),
        )
        progress(1, 1, {"loss": trained.training_loss})
        return trained

    def measure(self, model: Arrays, private: Arrays | None, training: bool = False) -> Measured:
        """Ask all nodes to evaluate; means weighted by number of examples.

        Returns:
            Loss 0 if the task names no held-out loss and no metrics: then no node is asked.

        Raises:
            TrainingFailed: Fewer than `least` nodes replied without an error, or a reply cannot be used.
        """
        if self.choice.losses.held_out is None and not self.choice.metrics:
            return Measured(0.0)
        replies = self._ask(MessageType.EVALUATE, self._messages(MessageType.EVALUATE, model, 0))
        weights = [examples_of(reply, MESSAGES.examples) for reply in replies]
        numbers = _means(replies, weights)
        return Measured(self._loss(self.choice.losses.held_out, numbers), self._metrics(numbers))

    def _messages(self, asked: str, model: Arrays, round: int) -> list[Message]:
        config = ConfigRecord({**self.config, "server-round": round})
        content = RecordDict({"arrays": array_record(model, model), "config": config})
        return [Message(content, node, asked) for node in sorted(self.grid.get_node_ids())]

    def _ask(self, asked: str, messages: list[Message]) -> list[Reply]:
        """The replies that can be used, in an order that does not depend on which came first."""
        replies = sorted(
            self.grid.send_and_receive(messages, timeout=self.timeout),
            key=lambda reply: reply.metadata.src_node_id,
        )
        usable = [reply for reply in replies if not reply.has_error()]
        if len(usable) < self.least:
            failed = next((reason_of(reply) for reply in replies if reply.has_error()), "no answer")
            raise TrainingFailed(
                f"{len(usable)} of {len(messages)} nodes can be asked to {asked}, "
                f"{self.least} are needed: {failed}"
            )
        return [read for reply in usable if (read := read_reply(asked, reply))]

    def _metrics(self, numbers: Mapping[str, float]) -> dict[str, float]:
        return {name: numbers[name] for name in self.choice.metrics if name in numbers}

    def _loss(self, name: str | None, numbers: Mapping[str, float]) -> float:
        return numbers.get(name, 0.0) if name is not None else 0.0


def _means(replies: Sequence[Reply], weights: Sequence[int]) -> dict[str, float]:
    """Means of the numbers that every reply has."""
    common = set.intersection(*(set(reply.numbers) for reply in replies)) if replies else set()
    total = sum(weights)
    return {
        name: math.fsum(
            number(reply.numbers, name) * (weight / total)
            for reply, weight in zip(replies, weights, strict=True)
        )
        for name in sorted(common)
    }
