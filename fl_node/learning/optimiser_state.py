"""The state of any optimiser as named arrays, and back.

Optimisers keep what they like: tensors of any form, numbers, lists. So beside the tensors, `optimiser.SLOT.PARAMETER`,
a text says how they were put together. It is stored as an array too, `optimiser.form`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fl_node.arrays import Array, Arrays
from fl_node.errors import Misuse
from fl_node.learner import OPTIMISER
from fl_node.learning.steps import Training
from fl_node.learning.transfer import to_arrays

FORM = f"{OPTIMISER}.form"
"""The name of the array whose bytes are the text."""

WIDER = {torch.bfloat16: torch.float32, torch.int16: torch.int32, torch.int8: torch.int32}
"""For dtypes that no blob can hold: others that hold all of their values."""


class AnyState:
    """The state of a training's optimisers, whatever they are. It is made before their first step."""

    def __init__(self, training: Training) -> None:
        """Remember the state before the first step.

        Raises:
            Misuse: A parameter is not the model's, or belongs to two optimisers.
        """
        self._optimisers = training.optimisers
        self._parameters = dict(training.model.named_parameters())
        self._names = {parameter: name for name, parameter in self._parameters.items()}
        _verify_parameters(self._optimisers, self._names)
        self._first = self.arrays()

    def arrays(self) -> dict[str, Array]:
        """The state as arrays.

        Raises:
            Misuse: A part of it is neither a tensor nor a number, nor made of these.
        """
        tensors: dict[str, Tensor] = {}
        forms = {
            name: {
                "state": {
                    owner: {
                        slot: _form(f"{OPTIMISER}.{slot}.{owner}", value, tensors)
                        for slot, value in optimiser.state[self._parameters[owner]].items()
                    }
                    for owner in map(self._names.get, optimiser.state)
                    if owner is not None
                },
                "groups": [
                    _form(f"{OPTIMISER}.groups.{name}.{at}", _without_parameters(group), tensors)
                    for at, group in enumerate(optimiser.param_groups)
                ],
            }
            for name, optimiser in self._optimisers.items()
        }
        return {
            **to_arrays(tensors),
            FORM: np.frombuffer(json.dumps(forms).encode(), np.uint8),
        }

    def fill(self, arrays: Arrays) -> None:
        """Put stored state back.

        Raises:
            Misuse: The arrays are not the state of these optimisers.
        """
        if FORM not in arrays:
            raise Misuse(f"the optimisers' state lacks {FORM!r}")
        try:
            forms = json.loads(arrays[FORM].tobytes())
            for name, optimiser in self._optimisers.items():
                self._fill(optimiser, forms[name], arrays)
        except (KeyError, ValueError, TypeError) as trouble:
            raise Misuse(f"the stored state is not that of these optimisers: {trouble!r}") from None

    def reset(self) -> None:
        """Set the state to that before the first step."""
        self.fill(self._first)

    def _fill(self, optimiser: Optimizer, form: dict[str, Any], arrays: Arrays) -> None:
        device = optimiser.param_groups[0]["params"][0].device
        for group, stored in zip(optimiser.param_groups, form["groups"], strict=True):
            group.update(_value(stored, arrays, device))
        optimiser.state.clear()
        for owner, slots in form["state"].items():
            parameter = self._parameters[owner]
            optimiser.state[parameter] = {
                slot: _value(value, arrays, device) for slot, value in slots.items()
            }


def _verify_parameters(
    optimisers: Mapping[str, Optimizer], names: Mapping[nn.Parameter, str]
) -> None:
    seen: set[nn.Parameter] = set()
    for key, optimiser in optimisers.items():
        for group in optimiser.param_groups:
            for parameter in group["params"]:
                if parameter not in names:
                    raise Misuse(f"optimisers(): {key!r} has a parameter that is not the model's")
                if parameter in seen:
                    raise Misuse(f"optimisers(): {names[parameter]!r} belongs to two optimisers")
                seen.add(parameter)


def _without_parameters(group: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in group.items() if key != "params"}


def _form(path: str, value: Any, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """How a value is put together; its tensors are put into `tensors`."""
    if isinstance(value, Tensor):
        return _tensor_form(path, value, tensors)
    if value is None or isinstance(value, (bool, int, float, str)):
        return {"value": value}
    if isinstance(value, (list, tuple)):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_form(f"{path}.{at}", one, tensors) for at, one in enumerate(value)]}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": {key: _form(f"{path}.{key}", one, tensors) for key, one in value.items()}}
    raise Misuse(
        f"optimisers(): {path!r} is a {type(value).__name__}; only tensors, numbers, text, and lists and dicts of "
        "these can be kept from round to round"
    )


def _tensor_form(path: str, value: Tensor, tensors: dict[str, Tensor]) -> dict[str, Any]:
    if not value.numel():
        return {"empty": list(value.shape), "dtype": _name(value.dtype)}
    while path in tensors:  # The keys "a.b", and "b" in "a", make one path.
        path += "+"
    value = value.detach()
    tensors[path] = value.to(WIDER.get(value.dtype, value.dtype))
    # Fused optimisers walk through the memory of parameter and state in parallel.
    dense = torch.ops.aten.is_non_overlapping_and_dense(value)
    strides = list(value.stride()) if dense and not value.is_contiguous() else None
    return {
        "tensor": path,
        "dtype": _name(value.dtype),
        "strides": strides,
        "cpu": value.device.type == "cpu",
    }


def _value(form: dict[str, Any], arrays: Arrays, device: torch.device) -> Any:
    """The value of a form; tensors that did not lie on the CPU go to the device."""
    if "value" in form:
        return form["value"]
    if "list" in form:
        return [_value(one, arrays, device) for one in form["list"]]
    if "tuple" in form:
        return tuple(_value(one, arrays, device) for one in form["tuple"])
    if "dict" in form:
        return {key: _value(one, arrays, device) for key, one in form["dict"].items()}
    dtype = getattr(torch, form["dtype"])
    if "empty" in form:
        return torch.empty(form["empty"], dtype=dtype, device=device)
    value = torch.from_numpy(arrays[form["tensor"]].copy())
    value = value.to(torch.device("cpu") if form["cpu"] else device, dtype)
    if form["strides"] is None:
        return value
    laid_out = torch.empty_strided(value.shape, form["strides"], dtype=dtype, device=value.device)
    return laid_out.copy_(value)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
