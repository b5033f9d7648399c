"""Named numpy arrays: the form in which all packages exchange weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Arrays = Mapping[str, Array]
"""Tensor name, as in the model's `state_dict`, to array. C order."""

Float64 = NDArray[np.float64]


class Typed(Protocol):
    """An array, or what is known of one."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of its elements."""


Tensor = TypeVar("Tensor", bound=Typed)


def floating(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those tensors, arrays or specs by name, that learning can move.

    All others, such as the int64 count of batches that a batch norm keeps, are constants of a model.
    """
    return {name: tensor for name, tensor in tensors.items() if tensor.dtype.kind == "f"}


def prefixed(prefix: str, arrays: Arrays) -> dict[str, Array]:
    """The same arrays, with the prefix put before each name."""
    return {prefix + name: array for name, array in arrays.items()}


def unprefixed(prefix: str, arrays: Arrays) -> dict[str, Array]:
    """The arrays whose names begin with the prefix, without it."""
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
