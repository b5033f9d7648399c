"""A user's data: tensors of any shape and dtype, or a dataset that is read example by example."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from fl_node.errors import DataUnusable
from fl_node.learning.calling import calling
from fl_node.learning.steps import Examples

Values = Tensor | NDArray[Any]
Data = Values | Sequence[Values] | Mapping[str, Values] | Dataset
"""A tensor or array, or a tuple or dict of them, whose first dimension counts the examples; or a map-style dataset."""

CPU = torch.device("cpu")

LABELS = ("labels", "label", "y", "target", "targets")
"""The keys under which a dict of tensors has its classes."""


@dataclass(frozen=True, slots=True)
class Split:
    """Data of which somebody else has decided what is held out from training."""

    training: Data
    held_out: Data


@dataclass(frozen=True, slots=True)
class Form:
    """How a batch is put together from its tensors: as the data was.

    Attributes:
        container: tuple, list or dict; None for a single tensor.
        names: Of the fields: a dict's keys, or the places in a tuple.
    """

    container: type | None
    names: tuple[str, ...]

    def batch(self, fields: Mapping[str, Tensor], drawn: Mapping[str, Tensor]) -> Any:
        """A batch of these fields; a user's steps draw their own random numbers."""
        if self.container is None:
            return fields[self.names[0]]
        if self.container is dict:
            return {name: fields[name] for name in self.names}
        return self.container(fields[name] for name in self.names)


@dataclass(frozen=True, slots=True)
class Tensors:
    """Examples in tensors on the device."""

    shape: Form
    fields: Mapping[str, Tensor]

    def __len__(self) -> int:
        return len(next(iter(self.fields.values())))

    @property
    def form(self) -> Hashable:
        """Batches look alike if their tensors do."""
        kinds = ((name, value.shape[1:], value.dtype) for name, value in self.fields.items())
        return self.shape, tuple(kinds)

    @property
    def batch(self) -> Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], Any]:
        """The form's."""
        return self.shape.batch

    def subset(self, indices: NDArray[np.int64]) -> Tensors:
        """The examples at these indices."""
        chosen_N = torch.from_numpy(indices)
        return Tensors(self.shape, {name: all_N[chosen_N] for name, all_N in self.fields.items()})

    def at(self, chosen_N: Tensor) -> Any:
        """A batch of the examples at these indices."""
        chosen_N = chosen_N.to(next(iter(self.fields.values())).device)
        fields = {name: all_N.index_select(0, chosen_N) for name, all_N in self.fields.items()}
        return self.batch(fields, {})

    def on(self, device: torch.device) -> Tensors:
        """The same examples on the device."""
        return Tensors(self.shape, {name: all_N.to(device) for name, all_N in self.fields.items()})

    @property
    def classes(self) -> NDArray[np.int64] | None:
        """The classes: integers at the end of a tuple, or under one of the names in `LABELS`."""
        keyed = self.shape.container is dict
        last = next((name for name in LABELS if name in self.fields), None)
        if not keyed:
            last = self.shape.names[-1] if len(self.shape.names) > 1 else None
        return None if last is None else _classes(self.fields[last])


@dataclass(frozen=True, slots=True)
class Streamed:
    """Examples of a dataset, read one by one when a batch needs them.

    Attributes:
        dataset: Has `__getitem__` and `__len__`.
        indices_N: Those of its examples that these are.
        device: Where batches go.
    """

    dataset: Dataset
    indices_N: NDArray[np.int64]
    device: torch.device = CPU

    def __len__(self) -> int:
        return len(self.indices_N)

    def subset(self, indices: NDArray[np.int64]) -> Streamed:
        """The examples at these indices."""
        return Streamed(self.dataset, self.indices_N[indices], self.device)

    def at(self, chosen_N: Tensor) -> Any:
        """A batch of the examples at these indices, collated as a `DataLoader` does.

        Raises:
            TrainingFailed: The dataset raised an error.
        """
        with calling("data()'s dataset"):
            examples = [self.dataset[index] for index in self.indices_N[chosen_N.numpy()].tolist()]
            return _moved(default_collate(examples), self.device)

    def on(self, device: torch.device) -> Streamed:
        """The same examples, with batches on the device."""
        return Streamed(self.dataset, self.indices_N, device)

    @property
    def classes(self) -> NDArray[np.int64] | None:
        """The classes, if the dataset has them as its `targets`, as those of torchvision do."""
        targets = getattr(self.dataset, "targets", None)
        if targets is None or len(targets) != len(self.dataset):
            return None
        return _classes(torch.as_tensor(np.asarray(targets))[torch.from_numpy(self.indices_N)])


@dataclass(frozen=True, slots=True)
class Batches:
    """Examples in batches: always in the same order, and the last one may be smaller."""

    examples: Examples
    batch: int

    def __len__(self) -> int:
        return -(-len(self.examples) // self.batch)

    def __iter__(self) -> Iterator[Any]:
        return map(self.examples.at, torch.arange(len(self.examples)).split(self.batch))


def as_examples(data: Data) -> Tensors | Streamed:
    """A user's data as examples, on the CPU.

    Raises:
        DataUnusable: It is none of what `Data` says, is empty, or its tensors count different numbers of examples.
    """
    if isinstance(data, Mapping):
        return _tensors(dict, dict(data))
    if isinstance(data, (tuple, list)):
        return _tensors(type(data), {str(at): value for at, value in enumerate(data)})
    if isinstance(data, (Tensor, np.ndarray)):
        return _tensors(None, {"0": data})
    if not callable(getattr(data, "__getitem__", None)) or not hasattr(data, "__len__"):
        raise DataUnusable(
            f"data() gave a {type(data).__name__}; allowed: a tensor or array, a tuple or dict of them, "
            "a map-style dataset, Split(training, held_out)"
        )
    _verify_any(len(data))
    return Streamed(data, np.arange(len(data)))


def _tensors(container: type | None, values: dict[Any, Any]) -> Tensors:
    if container not in (None, dict, list):
        container = tuple
    fields = {str(name): _tensor(str(name), value) for name, value in values.items()}
    counts = {name: len(value) for name, value in fields.items()}
    if len(set(counts.values())) > 1:
        raise DataUnusable(f"data(): the tensors count different numbers of examples: {counts}")
    _verify_any(max(counts.values(), default=0))
    return Tensors(Form(container, tuple(fields)), fields)


def _tensor(name: str, value: Any) -> Tensor:
    try:
        tensor = value if isinstance(value, Tensor) else torch.from_numpy(np.array(value))
    except (TypeError, ValueError) as trouble:
        raise DataUnusable(f"data(): {name!r} is no tensor: {trouble}") from None
    if tensor.ndim == 0:
        raise DataUnusable(
            f"data(): {name!r} is a single number; its first dimension is to count examples"
        )
    return tensor.detach().cpu().contiguous()


def _verify_any(count: int) -> None:
    if not count:
        raise DataUnusable("data() gave no examples")


def _classes(values_N: Tensor) -> NDArray[np.int64] | None:
    whole = not (values_N.is_floating_point() or values_N.is_complex())
    return values_N.cpu().numpy().astype(np.int64) if whole and values_N.ndim == 1 else None


def _moved(batch: Any, device: torch.device) -> Any:
    if isinstance(batch, Tensor):
        return batch.to(device)
    if isinstance(batch, Mapping):
        return {name: _moved(value, device) for name, value in batch.items()}
    if isinstance(batch, (tuple, list)):
        return [_moved(value, device) for value in batch]
    return batch
