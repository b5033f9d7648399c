"""What a training step works on: a model with its optimisers, examples on the device, and one batch of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from fl_node.learning.data import Images

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

    def subset(self, indices: NDArray[np.int64]) -> Examples:
        """The pictures at these indices, with their classes."""
        chosen = torch.from_numpy(indices).to(self.pixels_NCHW.device)
        labels_N = None if self.labels_N is None else self.labels_N[chosen]
        return Examples(self.pixels_NCHW[chosen], labels_N)


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step sees.

    Attributes:
        x_NCHW: The step's pictures, float32 in [-1, 1].
        labels_N: Their classes, int64, if they are known.
        drawn: What the kind's `draw` drew for this step.
    """

    x_NCHW: Tensor
    labels_N: Tensor | None
    drawn: Mapping[str, Tensor]


Step = Callable[[Batch], tuple[Tensor, ...]]
"""Moves the model in place by one step, and returns the kind's losses, detached, in the order of its `losses`.

A step keeps nothing in Python from one call to the next, draws no random numbers and never waits for the device: every
call issues the same operations on the same memory, so that a GPU can record one call and replay it.
"""


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


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 on CUDA, where it is fast and its range makes loss scaling unnecessary; no autocast elsewhere."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """No autocast, whatever surrounds it. The meta device, on which tests count operations, never has one."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


def to_pictures(pixels_NCHW: Tensor) -> Tensor:
    """uint8 0..255 to float32 -1..1."""
    return pixels_NCHW.float() / 127.5 - 1
