"""Runs the steps of a training: feeds them, adds their losses, and reports them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from fl_node.errors import TrainingDiverged, TrainingFailed
from fl_node.learner import StepProgress, no_progress
from fl_node.learning.device import tuned_convolutions
from fl_node.learning.drift import NO_TERMS, Terms
from fl_node.learning.feed import Feed, Loading, draw_steps, feed_of
from fl_node.learning.options import comparable
from fl_node.learning.recording import Act, Record, Recorded, cuda_graphs, on_stream
from fl_node.learning.steps import Examples, Training
from fl_node.learning.torch_learner import TorchLearner

RECORDINGS = 4
"""Recordings that are kept; each holds memory on the device."""

REPORTS, REPORT_SECONDS = 20, 1.0
"""The most progress reports of a training, and the least time between two; each waits for the device."""


class Runner:
    """Takes a learner's steps with one prepared model, on the examples of one member after the other.

    On CUDA steps that can be are recorded, once for each list of operations that options and terms give (`runner_on`).
    """

    def __init__(
        self,
        learner: TorchLearner,
        training: Training,
        device: torch.device,
        record: Record | None = None,
        stream: torch.cuda.Stream | None = None,
    ) -> None:
        """Prepare nothing yet.

        Args:
            learner: What is trained.
            training: Changed in place by `run`.
            device: The one that the training is on.
            record: How steps are recorded; None records none.
            stream: Where steps are queued on CUDA; None uses the current stream.
        """
        self._learner, self._training, self._device = learner, training, device
        self._record, self._stream = record, stream
        self._sums = Sums(device, learner.losses)
        self._feeds: dict[object, Feed | Loading] = {}
        self._recorded: dict[object, Recorded] = {}

    def run(
        self,
        options: Any,
        examples: Examples,
        steps: int,
        seed: int,
        terms: Terms = NO_TERMS,
        progress: StepProgress = no_progress,
    ) -> float:
        """Take steps, in place. The host queues them, and waits for the device at the end and for each report.

        Args:
            options: The learner's.
            examples: At least one, on the model's device.
            steps: > 0.
            seed: Determines every random choice.
            terms: What is added to each step.
            progress: Called at most once a second, and after the last step, with the mean losses since the last call.

        Returns:
            Mean over the steps of the sum of the learner's losses.

        Raises:
            TrainingDiverged: A loss is not finite.
        """
        drawn = draw_steps(self._learner, options, len(examples), seed)
        with on_stream(self._stream), tuned_convolutions(self._device), terms.added():
            feed = self._feed(options, examples)
            advance = self._advance(options, feed, terms)
            tally = Tally(steps, self._sums, progress)
            for step in range(1, steps + 1):
                if (step - 1) % feed.capacity == 0:
                    feed.fill(islice(drawn, min(feed.capacity, steps - step + 1)), examples)
                advance()
                tally.report(step)
        return tally.mean()

    def _advance(self, options: Any, feed: Feed | Loading, terms: Terms) -> Act:
        """The function that takes one step, feeds it, and adds its losses to the sums."""
        take, sums = self._learner.step(self._training, options, terms), self._sums

        def advance() -> None:
            sums.add(take(feed.take()))

        if self._record is None:
            return advance
        read = (*self._learner.rates, "schedules")  # Each step reads the rates; they can differ.
        key = (id(feed), terms.recorded, comparable(options, besides=read))
        kept = self._recorded.pop(key, None) or Recorded(advance, self._record)
        while len(self._recorded) >= RECORDINGS:
            self._recorded.pop(next(iter(self._recorded)))
        self._recorded[key] = kept
        return kept

    def _feed(self, options: Any, examples: Examples) -> Feed | Loading:
        form = getattr(examples, "form", None)
        if form not in self._feeds:
            of_one_step = next(draw_steps(self._learner, options, len(examples), seed=0))
            self._feeds[form] = feed_of(of_one_step, examples)
        return self._feeds[form]


def runner_on(device: torch.device, learner: TorchLearner, training: Training) -> Runner:
    """A runner that is as fast as the device allows: on CUDA it records steps that can be recorded."""
    if device.type != "cuda" or not learner.recordable:
        return Runner(learner, training, device)
    stream = torch.cuda.Stream(device)
    return Runner(learner, training, device, cuda_graphs(stream), stream)


class Sums:
    """The sums of the steps' losses, on the device."""

    def __init__(self, device: torch.device, names: tuple[str, ...] = ()) -> None:
        """Sums of 0. Without names, the first losses that are added give them."""
        self._device = device
        self._name(names)

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Add a step's losses.

        Raises:
            TrainingFailed: They have other names than those of the step before.
        """
        if not self.names:
            self._name(tuple(losses))
        if tuple(losses) != self.names:
            raise TrainingFailed(
                f"training_step() gave the losses {', '.join(losses) or 'of no name'} after {', '.join(self.names)}"
            )
        values = [loss.to(self._device, torch.float32) for loss in losses.values()]
        torch._foreach_add_(self._parts, values)

    def zero(self) -> None:
        """Begin again."""
        self.total.zero_()

    def _name(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.total = torch.zeros(len(names), device=self._device)
        self._parts = list(self.total.unbind())


class Tally:
    """Reads the sums of the losses, which steps add to on the device, only now and then, because it has to wait."""

    def __init__(
        self,
        steps: int,
        sums: Sums,
        progress: StepProgress,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set the sums to 0."""
        self._steps, self._progress, self._sums = steps, progress, sums
        sums.zero()
        self._reported, self._reported_at = torch.zeros(()), 0
        self._clock, self._reported_when = clock, clock()

    def report(self, step: int) -> None:
        """Report the mean losses since the last report, if it is time or the last step; called after each step.

        Args:
            step: Counted from 1.

        Raises:
            TrainingDiverged: A sum is no longer finite.
        """
        if step != self._steps and not self._is_due(step):
            return
        total = self._sums.total.to("cpu", copy=True)  # On the CPU later steps would change it.
        if not all(map(math.isfinite, total.tolist())):
            raise TrainingDiverged(
                f"the losses are no longer finite at step {step}; lower learning rates may help"
            )
        means = ((total - self._reported) / (step - self._reported_at)).tolist()
        self._reported, self._reported_at = total, step
        self._progress(step, self._steps, dict(zip(self._sums.names, means, strict=True)))
        self._reported_when = self._clock()

    def mean(self) -> float:
        """Mean over all steps of the sum of the losses; valid after the last report."""
        return self._reported.sum().item() / self._steps

    def _is_due(self, step: int) -> bool:
        return (
            self._progress is not no_progress
            and step - self._reported_at >= self._steps / REPORTS
            and self._clock() - self._reported_when >= REPORT_SECONDS
        )
