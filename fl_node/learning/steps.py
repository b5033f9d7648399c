"""The parts of every training loop: a model with its optimisers, examples on the device, batches, and a tally."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fl_node.errors import TrainingDiverged
from fl_node.learner import StepProgress
from fl_node.learning.data import Images

REPORTS = 20
"""Number of progress reports in a training; each of them waits for the device."""

Features = Callable[[Tensor], Tensor]
"""x_NCHW -> a vector, or a stack of feature maps, for each picture."""


@dataclass(frozen=True, slots=True)
class Training:
    """A model and its optimisers, on one device. Each parameter belongs to at most one optimiser."""

    model: nn.Module
    optimisers: dict[str, Optimizer]


@dataclass(frozen=True, slots=True)
class Examples:
    """A member's pictures on the device: uint8 pixels_NCHW, and int64 labels_N if they are known."""

    pixels_NCHW: Tensor
    labels_N: Tensor | None = None

    def __len__(self) -> int:
        return len(self.pixels_NCHW)


def to_device(images: Images, device: torch.device) -> Examples:
    """Move pictures to the device, once for all rounds."""

    def on_device(array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)

    labels_N = None if images.labels_N is None else on_device(images.labels_N)
    return Examples(on_device(images.pixels_NCHW), labels_N)


def move_to(model: nn.ModuleDict, device: torch.device) -> nn.ModuleDict:
    """Move a model to the device, in the memory layout with the fastest convolutions there."""
    layout = torch.contiguous_format if device.type == "mps" else torch.channels_last
    return model.to(device, memory_format=layout)


def is_fused(device: torch.device) -> bool:
    """Whether the device supports fused optimisers, which take a step in one pass over the memory."""
    return device.type in {"cuda", "cpu"}


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 on CUDA, where it is fast and its range makes loss scaling unnecessary; no autocast elsewhere."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def draw_batches(count: int, batch: int, seed: int, device: torch.device) -> Iterator[Tensor]:
    """Yield index_N endlessly: shuffled passes over the data, one after the other, cut into equal batches."""
    random = torch.Generator(device).manual_seed(seed)
    left = torch.empty(0, dtype=torch.int64, device=device)
    while True:
        while len(left) < batch:
            left = torch.cat([left, torch.randperm(count, device=device, generator=random)])
        yield left[:batch]
        left = left[batch:]


def to_pictures(pixels_NCHW: Tensor) -> Tensor:
    """uint8 0..255 to float32 -1..1."""
    return pixels_NCHW.float() / 127.5 - 1


class Tally:
    """Sums of the losses, kept on the device and read only from time to time, so that steps do not wait for it."""

    def __init__(
        self, names: tuple[str, ...], steps: int, progress: StepProgress, device: torch.device
    ) -> None:
        self._names, self._steps, self._progress = names, steps, progress
        self._every = max(1, steps // REPORTS)
        self._sums = torch.zeros(len(names), device=device)
        self._reported, self._reported_at = torch.zeros(len(names)), 0

    def add(self, index: int, loss: Tensor) -> None:
        """Add a step's loss to the sum of the name at an index."""
        self._sums[index] += loss.detach()

    def report(self, step: int) -> None:
        """Report the mean losses since the last report, if it is time; to be called after each step, counted from 1.

        Raises:
            TrainingDiverged: A sum is no longer finite.
        """
        if step % self._every and step != self._steps:
            return
        total = self._sums.to(
            "cpu", copy=True
        )  # Copied, because on the CPU later steps would change it.
        if not all(map(math.isfinite, total.tolist())):
            raise TrainingDiverged(
                f"the losses are no longer finite at step {step}; lower learning rates may help"
            )
        means = ((total - self._reported) / (step - self._reported_at)).tolist()
        self._reported, self._reported_at = total, step
        self._progress(step, self._steps, dict(zip(self._names, means, strict=True)))

    def mean(self) -> float:
        """Mean over all steps of the sum of the losses; valid after the last report."""
        return self._reported.sum().item() / self._steps
