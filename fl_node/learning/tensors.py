"""Conversion between modules and the named numpy arrays in which weights are stored."""

from __future__ import annotations

from torch import Tensor, nn

from fl_node.arrays import Array, Arrays
from fl_node.errors import Misuse
from fl_node.learning.transfer import fill_tensors, to_arrays


def module_tensors(module: nn.Module) -> dict[str, Tensor]:
    """The module's float tensors by name: everything that is learnt, or averaged like batch norm's statistics.

    Batch norm also counts batches in an int64. It is left out, because nothing reads it and it cannot be averaged.
    """
    return {name: value for name, value in module.state_dict().items() if value.is_floating_point()}


def module_arrays(module: nn.Module) -> dict[str, Array]:
    """Copies of the module's float tensors, as float32 arrays in C order."""
    return to_arrays(module_tensors(module))


def fill_module(module: nn.Module, arrays: Arrays) -> None:
    """Copy the arrays' values into the module's tensors, whose memory stays where it is.

    Raises:
        Misuse: Names, shapes or dtypes differ from the module's.
    """
    tensors = module_tensors(module)
    if tensors.keys() != arrays.keys():
        differing = sorted(tensors.keys() ^ arrays.keys())
        raise Misuse(f"the model's tensors differ from the manifest's, first in {differing[0]!r}")
    fill_tensors(tensors, arrays)
