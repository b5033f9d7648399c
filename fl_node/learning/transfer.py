"""Named tensors from and to arrays. On a GPU all tensors of a dtype make one copy, instead of one for each tensor."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

from fl_node.arrays import Array, Arrays
from fl_node.errors import Misuse

ARRAYS: dict[torch.dtype, np.dtype] = {
    torch.float16: np.dtype(np.float16),
    torch.float32: np.dtype(np.float32),
    torch.float64: np.dtype(np.float64),
    torch.int32: np.dtype(np.int32),
    torch.int64: np.dtype(np.int64),
    torch.uint8: np.dtype(np.uint8),
    torch.bool: np.dtype(np.uint8),
}
"""The dtypes of tensors that a blob can hold, and those of their arrays."""


def array_dtype(name: str, dtype: torch.dtype) -> np.dtype:
    """The dtype of a tensor's array.

    Raises:
        Misuse: No blob can hold such tensors.
    """
    if dtype not in ARRAYS:
        allowed = ", ".join(str(one).removeprefix("torch.") for one in ARRAYS)
        raise Misuse(f"tensor {name!r} is {str(dtype).removeprefix('torch.')}; allowed: {allowed}")
    return ARRAYS[dtype]


@torch.no_grad()
def fill_tensors(tensors: Mapping[str, Tensor], arrays: Arrays) -> None:
    """Copy arrays into the tensors of the same names. The tensors keep their memory and its layout.

    Args:
        tensors: Of the dtypes in `ARRAYS`.
        arrays: Has at least these names.

    Raises:
        Misuse: An array has another shape or dtype than its tensor.
    """
    for name, tensor in tensors.items():
        _verify(name, arrays[name], tuple(tensor.shape), array_dtype(name, tensor.dtype))
    for device, names in _by_device(tensors):
        if device.type == "cpu":
            for name in names:
                # Arrays may be read-only, of which torch would make no tensor.
                np.copyto(tensors[name].detach().numpy(), arrays[name], casting="unsafe")
        else:
            _fill_on(device, [tensors[name] for name in names], [arrays[name] for name in names])


def to_arrays(tensors: Mapping[str, Tensor]) -> dict[str, Array]:
    """Copies of tensors as arrays in C order.

    Raises:
        Misuse: A tensor has a dtype that no blob can hold.
    """
    dtypes = {name: array_dtype(name, tensor.dtype) for name, tensor in tensors.items()}
    found: dict[str, Array] = {}
    for device, names in _by_device(tensors):
        group = [tensors[name].detach() for name in names]
        hosts = group if device.type == "cpu" else _on_host(group)
        for name, host in zip(names, hosts, strict=True):
            found[name] = np.array(host.numpy(), dtypes[name], order="C", copy=True)
    return {name: found[name] for name in tensors}


def _by_device(tensors: Mapping[str, Tensor]) -> Iterable[tuple[torch.device, list[str]]]:
    """The names of the tensors that travel together: those of one device and dtype."""
    groups: dict[tuple[torch.device, torch.dtype], list[str]] = defaultdict(list)
    for name, tensor in tensors.items():
        groups[tensor.device, tensor.dtype].append(name)
    return [(device, names) for (device, _), names in groups.items()]


def _fill_on(device: torch.device, tensors: list[Tensor], arrays: list[Array]) -> None:
    sizes = [tensor.numel() for tensor in tensors]
    flat = torch.from_numpy(np.concatenate([array.ravel() for array in arrays]))
    flat = flat.pin_memory() if device.type == "cuda" else flat
    parts = flat.to(device, non_blocking=True).split(sizes)
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view(tensor.shape))


def _on_host(tensors: list[Tensor]) -> list[Tensor]:
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    host = torch.empty(flat.shape, dtype=flat.dtype, pin_memory=flat.is_cuda).copy_(flat)
    parts = host.split([tensor.numel() for tensor in tensors])
    return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]


def _verify(name: str, array: Array, shape: tuple[int, ...], dtype: np.dtype) -> None:
    if array.shape != shape or array.dtype != dtype:
        raise Misuse(f"tensor {name!r}: expected {dtype} {shape}, got {array.dtype} {array.shape}")
