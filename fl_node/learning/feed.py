"""The batches of a training: drawn on the CPU, so that every device sees the same, and read from static memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from fl_node.learning.kind import Kind
from fl_node.learning.steps import Batch, Examples, to_pictures
from fl_node.seeds import derive_seed

CHUNK_BYTES = 4 << 20
"""The most bytes of random draws that wait on the device; a single step's may be more."""

CHOSEN = "chosen_N"
"""The name of a batch's indices among what its step draws."""


def draw_steps(kind: Kind, options: Any, count: int, seed: int) -> Iterator[dict[str, Tensor]]:
    """Yield endlessly what each step draws: the indices of its pictures, and what the kind adds.

    Args:
        kind: Its `draw` is called once for each step.
        options: The kind's.
        count: Number of examples, > 0.
        seed: Determines everything.
    """
    random = torch.Generator().manual_seed(seed)
    for chosen_N in draw_batches(count, options.batch, derive_seed(seed, "batches")):
        yield {CHOSEN: chosen_N, **kind.draw(options, random)}


def draw_batches(count: int, batch: int, seed: int) -> Iterator[Tensor]:
    """Yield index_N endlessly: shuffled passes over the data, one after the other, cut into equal batches."""
    random = torch.Generator().manual_seed(seed)
    left = torch.empty(0, dtype=torch.int64)
    while True:
        while len(left) < batch:
            left = torch.cat([left, torch.randperm(count, generator=random)])
        yield left[:batch]
        left = left[batch:]


class Feed:
    """What the next steps draw, in memory that stays where it is, and a counter on the device that moves through it."""

    def __init__(self, drawn: Mapping[str, Tensor], device: torch.device) -> None:
        """Allocate the memory.

        Args:
            drawn: What one step draws; others must have the same names, shapes and dtypes.
            device: Where the steps run.
        """
        self.capacity = max(1, CHUNK_BYTES // sum(value.nbytes for value in drawn.values()))
        self._chunks = {
            name: torch.empty((self.capacity, *value.shape), dtype=value.dtype, device=device)
            for name, value in drawn.items()
        }
        self._next = torch.zeros(1, dtype=torch.int64, device=device)

    def fill(self, drawn: Iterable[Mapping[str, Tensor]]) -> None:
        """Copy what the next steps draw, at most `capacity` of them; does not wait for the device."""
        steps = list(drawn)
        for name, chunk in self._chunks.items():
            values = torch.stack([step[name] for step in steps])
            # From pinned memory a copy runs beside the computation.
            values = values.pin_memory() if chunk.is_cuda else values
            chunk[: len(steps)].copy_(values, non_blocking=True)
        self._next.zero_()

    def take(self, examples: Examples) -> Batch:
        """The next step's batch; every call issues the same operations."""
        drawn = {
            name: chunk.index_select(0, self._next).squeeze(0)
            for name, chunk in self._chunks.items()
        }
        self._next += 1
        chosen_N = drawn.pop(CHOSEN)
        pixels_NCHW = examples.pixels_NCHW.index_select(0, chosen_N)
        labels_N = examples.labels_N
        if labels_N is not None:
            labels_N = labels_N.index_select(0, chosen_N)
        return Batch(to_pictures(pixels_NCHW), labels_N, drawn)
