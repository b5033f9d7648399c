"""The model that a task of a Flower app starts from: whatever a callable of the app gives, as named arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chain.text import shown
from fl_node.arrays import Array
from fl_node.blobs.tensors import encode_tensors
from fl_node.errors import CodeRefused, Misuse


def arrays_from(made: Any, positional: bool) -> dict[str, Array]:
    """Turn a model into named arrays.

    Args:
        made: A torch module, a state dict, an ArrayRecord, a dict of arrays, or a list of arrays, whose names become 0,
            1, 2, ...
        positional: Whether the app knows tensors by position: then all names become 0, 1, 2, ... in the model's order.

    Raises:
        CodeRefused: It is none of these, or has no tensor, or has one that a model blob cannot hold.
    """
    if hasattr(made, "state_dict"):
        made = made.state_dict()
    if isinstance(made, list | tuple):
        made = {str(place): array for place, array in enumerate(made)}
    if not isinstance(made, Mapping) or not made:
        raise CodeRefused(
            "learner.genesis: expected a callable that gives a torch module, a state dict, an ArrayRecord "
            f"or a list of arrays, got {shown(type(made).__name__)}"
        )
    arrays = {str(name): _array(str(name), tensor) for name, tensor in made.items()}
    if positional:
        arrays = {str(place): array for place, array in enumerate(arrays.values())}
    try:
        for name, array in arrays.items():
            encode_tensors({name: array})
    except Misuse as error:
        raise CodeRefused(f"learner.genesis: {error}") from None
    return arrays


def _array(name: str, tensor: Any) -> Array:
    try:
        if hasattr(tensor, "detach"):  # torch, which this room does not import
            tensor = tensor.detach().cpu()
        return np.array(tensor.numpy() if hasattr(tensor, "numpy") else tensor)
    except Exception as error:
        raise CodeRefused(f"learner.genesis: tensor {shown(name)}: {shown(error)}") from None
