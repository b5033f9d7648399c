"""Between modules, optimisers and the named numpy arrays in which weights and state are stored."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fl_node.arrays import Array, Arrays
from fl_node.errors import ManifestInvalid, Misuse


def shared_names(names: Iterable[str], patterns: Iterable[str]) -> tuple[str, ...]:
    """The names that at least one pattern matches, in ascending order.

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
    """The module's float tensors by name: everything that is learnt, or averaged as batch norm's statistics are.

    Batch norm also counts batches in an int64; nothing reads it, and integers cannot be averaged, so it is left out.
    """
    return {name: value for name, value in module.state_dict().items() if value.is_floating_point()}


def module_arrays(module: nn.Module) -> dict[str, Array]:
    """Copies of the module's float tensors, as float32 arrays in C order."""
    return {name: _to_array(value) for name, value in module_tensors(module).items()}


@torch.no_grad()
def fill_module(module: nn.Module, arrays: Arrays) -> None:
    """Set the module's tensors to the arrays' values, which are copied.

    Raises:
        Misuse: Other names, shapes or dtypes than the module has.
    """
    tensors = module_tensors(module)
    if tensors.keys() != arrays.keys():
        differing = sorted(tensors.keys() ^ arrays.keys())
        raise Misuse(f"the model's tensors are others than the manifest's, first {differing[0]!r}")
    for name, tensor in tensors.items():
        tensor.copy_(_checked(name, arrays[name], tensor))


def adam_arrays(optimiser: Optimizer, module: nn.Module, prefix: str) -> dict[str, Array]:
    """Adam's state as arrays: `<prefix>.step` int64, and two moments for every parameter."""
    arrays: dict[str, Array] = {}
    for name, parameter in module.named_parameters():
        state = optimiser.state[parameter]
        arrays[f"{prefix}.step"] = np.array([int(state["step"])], np.int64)
        for moment in ("exp_avg", "exp_avg_sq"):
            arrays[f"{prefix}.{moment}.{name}"] = _to_array(state[moment])
    return arrays


def fill_adam(optimiser: Optimizer, module: nn.Module, prefix: str, arrays: Arrays) -> None:
    """Put stored state back into an Adam whose one parameter group is the module's parameters, in order.

    Raises:
        Misuse: The arrays are not the state of this module's optimiser.
    """
    wanted = {
        f"{prefix}.{moment}.{name}"
        for moment in ("exp_avg", "exp_avg_sq")
        for name, _ in module.named_parameters()
    } | {f"{prefix}.step"}
    if not wanted <= arrays.keys():
        raise Misuse(f"the optimiser's state lacks {min(wanted - arrays.keys())!r}")
    state: dict[int, dict[str, Tensor]] = {}
    for index, (name, parameter) in enumerate(module.named_parameters()):
        state[index] = {"step": torch.tensor(float(arrays[f"{prefix}.step"][0]))}
        for moment in ("exp_avg", "exp_avg_sq"):
            stored = f"{prefix}.{moment}.{name}"
            # Laid out as its parameter: a fused Adam walks through the memory of both side by side.
            like = torch.empty_like(parameter, requires_grad=False)
            state[index][moment] = like.copy_(_checked(stored, arrays[stored], parameter))
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})


def _to_array(tensor: Tensor) -> Array:
    return tensor.detach().to("cpu", copy=True).contiguous().numpy()


def _checked(name: str, array: Array, like: Tensor) -> Tensor:
    if array.shape != tuple(like.shape) or array.dtype != np.float32:
        raise Misuse(
            f"tensor {name!r}: expected float32 {tuple(like.shape)}, got {array.dtype} {array.shape}"
        )
    # Received arrays are read-only views of a blob, and torch wants memory it may write to.
    return torch.from_numpy(np.array(array, order="C"))
