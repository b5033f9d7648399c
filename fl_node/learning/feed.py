"""The batches of a training: drawn on the CPU, so that every device sees the same, and read from static memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from fl_node.learning.examples import Streamed
from fl_node.learning.steps import Examples, Resident
from fl_node.learning.torch_learner import TorchLearner
from fl_node.seeds import derive_seed

CHUNK_BYTES = 16 << 20
"""The most bytes of batches that wait on the device; a single step's may be more."""

CHOSEN = "chosen_N"
"""The name of a batch's indices, beside what its step draws."""


def draw_steps(
    learner: TorchLearner, options: Any, count: int, seed: int
) -> Iterator[dict[str, Tensor]]:
    """Yield endlessly what each step draws: the indices of its examples, and what the learner adds.

    Args:
        learner: Its `draw` is called once for each step.
        options: The learner's.
        count: Number of examples, > 0.
        seed: Determines everything.
    """
    random = torch.Generator().manual_seed(seed)
    for chosen_N in draw_batches(count, options.batch, derive_seed(seed, "batches")):
        yield {CHOSEN: chosen_N, **learner.draw(options, random)}


def draw_batches(count: int, batch: int, seed: int) -> Iterator[Tensor]:
    """Yield index_N endlessly: shuffled passes over the data, one after the other, cut into equal batches."""
    random = torch.Generator().manual_seed(seed)
    left = torch.empty(0, dtype=torch.int64)
    while True:
        while len(left) < batch:
            left = torch.cat([left, torch.randperm(count, generator=random)])
        yield left[:batch]
        left = left[batch:]


def feed_of(drawn: Mapping[str, Tensor], examples: Examples) -> Feed | Loading:
    """The feed of a training, as for `Feed`."""
    return Loading() if isinstance(examples, Streamed) else Feed(drawn, examples)


class Loading:
    """The batches of a dataset, each loaded when its step takes it."""

    capacity = 1 << 10

    def __init__(self) -> None:
        """Load nothing yet."""
        self._batches: Iterator[Any] = iter(())

    def fill(self, drawn: Iterable[Mapping[str, Tensor]], examples: Streamed) -> None:
        """Take note of what the next steps draw, at most `capacity` of them."""
        self._batches = (examples.at(step[CHOSEN]) for step in list(drawn))

    def take(self) -> Any:
        """The next step's batch."""
        return next(self._batches)


class Feed:
    """The batches of the next steps in memory that stays where it is, and a counter on the device."""

    def __init__(self, drawn: Mapping[str, Tensor], examples: Resident) -> None:
        """Allocate the memory.

        Args:
            drawn: What one step draws; what others draw has the same names, shapes and dtypes.
            examples: Others must have the same form. They lie on the device on which the steps run.
        """
        fields, batch = examples.fields, len(drawn[CHOSEN])
        forms = {name: (value.shape, value.dtype) for name, value in drawn.items()}
        forms |= {name: ((batch, *all_N.shape[1:]), all_N.dtype) for name, all_N in fields.items()}
        device = next(iter(fields.values())).device
        bytes_of_step = sum(math.prod(shape) * dtype.itemsize for shape, dtype in forms.values())
        self.capacity = max(1, CHUNK_BYTES // bytes_of_step)
        self._chunks = {
            name: torch.empty((self.capacity, *shape), dtype=dtype, device=device)
            for name, (shape, dtype) in forms.items()
        }
        self._names, self._batch = tuple(fields), examples.batch
        self._next = torch.zeros(1, dtype=torch.int64, device=device)

    def fill(self, drawn: Iterable[Mapping[str, Tensor]], examples: Resident) -> None:
        """Put in what the next steps draw, at most `capacity` of them, and their examples; no wait for the device."""
        steps = list(drawn)
        for name in steps[0]:
            values = torch.stack([step[name] for step in steps])
            # From pinned memory a copy runs beside the computation.
            values = values.pin_memory() if self._next.is_cuda else values
            self._chunks[name][: len(steps)].copy_(values, non_blocking=True)
        chosen = self._chunks[CHOSEN][: len(steps)].flatten()
        for name, values in examples.fields.items():
            into = self._chunks[name].flatten(0, 1)[: len(chosen)]
            torch.index_select(values, 0, chosen, out=into)
        self._next.zero_()

    def take(self) -> Any:
        """The next step's batch; every call issues the same operations."""
        drawn = {
            name: chunk.index_select(0, self._next).squeeze(0)
            for name, chunk in self._chunks.items()
        }
        self._next += 1
        del drawn[CHOSEN]
        return self._batch({name: drawn.pop(name) for name in self._names}, drawn)
