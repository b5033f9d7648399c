"""Runs the steps of a training: feeds them, adds their losses, and reports them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from fl_node.errors import TrainingDiverged
from fl_node.learner import StepProgress, no_progress
from fl_node.learning.device import tuned_convolutions
from fl_node.learning.drift import NO_TERMS, Terms
from fl_node.learning.feed import Feed, draw_steps
from fl_node.learning.kind import Kind
from fl_node.learning.options import comparable
from fl_node.learning.recording import Act, Record, Recorded, cuda_graphs, on_stream
from fl_node.learning.steps import Examples, Training

RECORDINGS = 4
"""Recordings that are kept; each holds memory on the device."""

REPORTS, REPORT_SECONDS = 20, 1.0
"""The most progress reports of a training, and the least time between two; each waits for the device."""


class Runner:
    """Takes a kind's steps with one prepared model, on the examples of one member after the other.

    On CUDA steps are recorded, once for each list of operations that options and terms give (`runner_on`).
    """

    def __init__(
        self,
        kind: Kind,
        training: Training,
        device: torch.device,
        record: Record | None = None,
        stream: torch.cuda.Stream | None = None,
    ) -> None:
        """Prepare nothing yet.

        Args:
            kind: The training's kind.
            training: Changed in place by `run`.
            device: The one that the training is on.
            record: How steps are recorded; None records none.
            stream: Where steps are queued on CUDA; None uses the current stream.
        """
        self._kind, self._training = kind, training
        self._record, self._stream = record, stream
        self._sums = torch.zeros(len(kind.losses), device=device)
        self._feeds: dict[bool, Feed] = {}
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
            options: The kind's options.
            examples: At least one, on the model's device.
            steps: > 0.
            seed: Determines every random choice.
            terms: What is added to each step.
            progress: Called at most once a second, and after the last step, with the mean losses since the last call.

        Returns:
            Mean over the steps of the sum of the kind's losses.

        Raises:
            TrainingDiverged: A loss is not finite.
        """
        drawn = draw_steps(self._kind, options, len(examples), seed)
        with on_stream(self._stream), tuned_convolutions(self._sums.device), terms.added():
            feed = self._feed(options, examples)
            advance = self._advance(options, feed, terms)
            tally = Tally(self._kind.losses, steps, self._sums, progress)
            for step in range(1, steps + 1):
                if (step - 1) % feed.capacity == 0:
                    feed.fill(islice(drawn, min(feed.capacity, steps - step + 1)), examples)
                advance()
                tally.report(step)
        return tally.mean()

    def _advance(self, options: Any, feed: Feed, terms: Terms) -> Act:
        """The function that takes one step, feeds it, and adds its losses to the sums."""
        take, sums = self._kind.step(self._training, options, terms), list(self._sums.unbind())

        def advance() -> None:
            torch._foreach_add_(sums, take(feed.take()))

        if self._record is None:
            return advance
        read = (*self._kind.rates, "schedules")  # Each step reads the rates; they can differ.
        key = (id(feed), terms.recorded, comparable(options, besides=read))
        kept = self._recorded.pop(key, None) or Recorded(advance, self._record)
        while len(self._recorded) >= RECORDINGS:
            self._recorded.pop(next(iter(self._recorded)))
        self._recorded[key] = kept
        return kept

    def _feed(self, options: Any, examples: Examples) -> Feed:
        labelled = examples.labels_N is not None
        if labelled not in self._feeds:
            of_one_step = next(draw_steps(self._kind, options, len(examples), seed=0))
            self._feeds[labelled] = Feed(of_one_step, examples)
        return self._feeds[labelled]


def runner_on(device: torch.device, kind: Kind, training: Training) -> Runner:
    """A runner that is as fast as the device allows: on CUDA it records steps."""
    if device.type != "cuda":
        return Runner(kind, training, device)
    stream = torch.cuda.Stream(device)
    return Runner(kind, training, device, cuda_graphs(stream), stream)


class Tally:
    """Reads the sums of the losses, which steps add to on the device, only now and then, because it has to wait."""

    def __init__(
        self,
        names: tuple[str, ...],
        steps: int,
        sums: Tensor,
        progress: StepProgress,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set the sums, one for each name, to 0."""
        self._names, self._steps, self._progress = names, steps, progress
        self._sums = sums.zero_()
        self._reported, self._reported_at = torch.zeros(len(names)), 0
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
        total = self._sums.to("cpu", copy=True)  # On the CPU later steps would change it.
        if not all(map(math.isfinite, total.tolist())):
            raise TrainingDiverged(
                f"the losses are no longer finite at step {step}; lower learning rates may help"
            )
        means = ((total - self._reported) / (step - self._reported_at)).tolist()
        self._reported, self._reported_at = total, step
        self._progress(step, self._steps, dict(zip(self._names, means, strict=True)))
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
