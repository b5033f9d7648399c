"""Conversion between modules and the named numpy arrays in which weights are stored."""

from __future__ import annotations

from collections.abc import Mapping

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


def all_tensors(module: nn.Module) -> dict[str, Tensor]:
    """All of the module's tensors by name: parameters and buffers of any dtype, each under its first name alone."""
    # A tensor with two names, such as weights that two layers share, is one tensor.
    first: dict[int, tuple[str, Tensor]] = {}
    for name, value in module.state_dict(keep_vars=True).items():
        if isinstance(value, Tensor):
            first.setdefault(id(value), (name, value))
    return {name: value.detach() for name, value in first.values()}


def fill_module(module: nn.Module, arrays: Arrays) -> None:
    """Copy the arrays' values into the module's float tensors, whose memory stays where it is.

    Raises:
        Misuse: Names, shapes or dtypes differ from the module's.
    """
    fill_all(module_tensors(module), arrays)


def fill_all(tensors: Mapping[str, Tensor], arrays: Arrays) -> None:
    """Copy the arrays' values into a model's tensors, whose memory stays where it is.

    Raises:
        Misuse: Names, shapes or dtypes differ.
    """
    if tensors.keys() != arrays.keys():
        differing = sorted(tensors.keys() ^ arrays.keys())
        raise Misuse(f"the model's tensors differ from the manifest's, first in {differing[0]!r}")
    fill_tensors(tensors, arrays)
