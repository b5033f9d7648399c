"""Named tensors from and to arrays through one flat buffer: on a GPU one copy, instead of one for each tensor."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from fl_node.arrays import Array, Arrays
from fl_node.errors import Misuse


@torch.no_grad()
def fill_tensors(tensors: Mapping[str, Tensor], arrays: Arrays) -> None:
    """Copy arrays into the tensors of the same names. The tensors keep their memory and its layout.

    Args:
        tensors: float32.
        arrays: Has at least these names.

    Raises:
        Misuse: An array has another shape than its tensor, or is not float32.
    """
    if not tensors:
        return
    for name, tensor in tensors.items():
        _verify(name, arrays[name], tuple(tensor.shape))
    device = _device_of(tensors)
    sizes = [tensor.numel() for tensor in tensors.values()]
    flat = torch.empty(sum(sizes), pin_memory=device.type == "cuda")
    np.concatenate([arrays[name].ravel() for name in tensors], out=flat.numpy())
    parts = flat.to(device, non_blocking=True).split(sizes)
    for tensor, part in zip(tensors.values(), parts, strict=True):
        tensor.copy_(part.view(tensor.shape))


def to_arrays(tensors: Mapping[str, Tensor]) -> dict[str, Array]:
    """Copies of float32 tensors as arrays in C order."""
    if not tensors:
        return {}
    device = _device_of(tensors)
    flat = torch.cat([tensor.detach().reshape(-1).to(device) for tensor in tensors.values()])
    host = torch.empty(flat.shape, pin_memory=flat.is_cuda).copy_(flat).numpy()
    ends = np.cumsum([tensor.numel() for tensor in tensors.values()])[:-1]
    parts = zip(tensors.items(), np.split(host, ends), strict=True)
    return {name: part.reshape(tensor.shape).copy() for (name, tensor), part in parts}


def _device_of(tensors: Mapping[str, Tensor]) -> torch.device:
    """The last tensor's: an optimiser's count of its steps, which may lie on the CPU, comes before its other state."""
    return next(reversed(tensors.values())).device


def _verify(name: str, array: Array, shape: tuple[int, ...]) -> None:
    if array.shape != shape or array.dtype != np.float32:
        raise Misuse(f"tensor {name!r}: expected float32 {shape}, got {array.dtype} {array.shape}")
