"""Conversion between modules and the named numpy arrays in which weights are stored, and which of them are shared."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from torch import Tensor, nn

from fl_node.arrays import Array, Arrays
from fl_node.errors import ManifestInvalid, Misuse
from fl_node.learning.transfer import fill_tensors, to_arrays


def shared_names(names: Iterable[str], patterns: Iterable[str]) -> tuple[str, ...]:
    """The names that match at least one pattern, in ascending order.

    Args:
        names: Tensor names, such as `generator.to_picture.weight`.
        patterns: As in `fnmatch`, case-sensitive: `*` any text, `?` one character, `[ab]` one of these.

    Raises:
        ManifestInvalid: A pattern matches nothing.
    """
    names, chosen = tuple(names), set()
    for pattern in patterns:
        matched = {name for name in names if fnmatchcase(name, pattern)}
        if not matched:
            raise ManifestInvalid(
                f"strategy.share: {pattern!r} matches no tensor; allowed: patterns over "
                f"{', '.join(sorted({name.split('.')[0] + '.*' for name in names}))}"
            )
        chosen |= matched
    return tuple(sorted(chosen))


def shared_part(model: Arrays, patterns: Iterable[str]) -> dict[str, Array]:
    """The arrays of a model that are exchanged.

    Raises:
        ManifestInvalid: A pattern matches nothing.
    """
    return {name: model[name] for name in shared_names(model, patterns)}


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
