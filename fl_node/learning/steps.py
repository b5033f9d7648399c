"""What a training step works on: a model with its optimisers, examples on the device, and one batch of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, Self

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


class Examples(Protocol):
    """A member's data, of any form."""

    def __len__(self) -> int:
        """Number of examples."""

    def subset(self, indices: NDArray[np.int64]) -> Self:
        """The examples at these indices."""

    def at(self, chosen_N: Tensor) -> Any:
        """A batch of the examples at these indices, on the device of the training."""


class Resident(Examples, Protocol):
    """Examples that lie on the device as a whole.

    Attributes:
        fields: The tensors by name; in each an example is an element along the first dimension.
        form: Equal for examples whose batches look alike.
        batch: Makes a batch of such fields and what its step drew; it keeps nothing of the examples.
    """

    @property
    def fields(self) -> Mapping[str, Tensor]: ...
    @property
    def form(self) -> Hashable: ...
    @property
    def batch(self) -> Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], Any]: ...


PIXELS, LABELS = "pixels_NCHW", "labels_N"


@dataclass(frozen=True, slots=True)
class Pictures:
    """A member's pictures on the device: uint8 pixels_NCHW, and int64 labels_N if they are known."""

    pixels_NCHW: Tensor
    labels_N: Tensor | None = None

    def __len__(self) -> int:
        return len(self.pixels_NCHW)

    def subset(self, indices: NDArray[np.int64]) -> Pictures:
        """The pictures at these indices, with their classes."""
        chosen = torch.from_numpy(indices).to(self.pixels_NCHW.device)
        labels_N = None if self.labels_N is None else self.labels_N[chosen]
        return Pictures(self.pixels_NCHW[chosen], labels_N)

    @property
    def fields(self) -> dict[str, Tensor]:
        """Pictures, and classes if they are known."""
        labels = {} if self.labels_N is None else {LABELS: self.labels_N}
        return {PIXELS: self.pixels_NCHW, **labels}

    @property
    def form(self) -> Hashable:
        """Pictures of one model have one shape."""
        return self.labels_N is not None

    @staticmethod
    def batch(fields: Mapping[str, Tensor], drawn: Mapping[str, Tensor]) -> Batch:
        """Pictures from -1 to 1."""
        return Batch(to_pictures(fields[PIXELS]), fields.get(LABELS), drawn)

    def at(self, chosen_N: Tensor) -> Batch:
        """The pictures at these indices, for which no step draws anything."""
        return self.batch({name: value[chosen_N] for name, value in self.fields.items()}, {})


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step sees of pictures.

    Attributes:
        x_NCHW: The step's pictures, float32 in [-1, 1].
        labels_N: Their classes, int64, if they are known.
        drawn: What the learner's `draw` drew for this step.
    """

    x_NCHW: Tensor
    labels_N: Tensor | None
    drawn: Mapping[str, Tensor]


Step = Callable[[Any], Mapping[str, Tensor]]
"""Takes a batch, moves the model in place by one step, and returns its losses by name, detached.

Where a learner says that its steps can be recorded, a step keeps nothing in Python from one call to the next, draws no
random numbers and never waits for the device: every call issues the same operations on the same memory, so that a GPU
can record one call and replay it.
"""


def to_device(images: Images, device: torch.device) -> Pictures:
    """Move pictures to the device, once for all rounds."""

    def on_device(array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)

    labels_N = None if images.labels_N is None else on_device(images.labels_N)
    return Pictures(on_device(images.pixels_NCHW), labels_N)


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
