"""Conversion between optimisers and the named arrays in which a member keeps their state between rounds."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fl_node.arrays import Array, Arrays
from fl_node.errors import Misuse
from fl_node.learning.steps import Training
from fl_node.learning.tensors import checked, to_array

PREFIX = "optimiser."
"""Prefix of every name; no tensor of a model has it."""


def optimiser_arrays(training: Training) -> dict[str, Array]:
    """The optimisers' state as float32 arrays `optimiser.SLOT.PARAMETER`; `step` is a count, of shape (1,)."""
    return {
        f"{PREFIX}{slot}.{name}": to_array(
            optimiser.state[parameter][slot].reshape(_shape(slot, parameter))
        )
        for optimiser in training.optimisers.values()
        for name, parameter in _parameters(training.model, optimiser)
        for slot in _slots(optimiser)
    }


def fill_optimisers(training: Training, arrays: Arrays) -> None:
    """Put stored state back into fresh optimisers.

    Raises:
        Misuse: The arrays are not the state of these optimisers.
    """
    for optimiser in training.optimisers.values():
        state = {
            index: {
                slot: _stored(f"{PREFIX}{slot}.{name}", arrays, slot, parameter)
                for slot in _slots(optimiser)
            }
            for index, (name, parameter) in enumerate(_parameters(training.model, optimiser))
        }
        optimiser.load_state_dict({**optimiser.state_dict(), "state": state})


def _slots(optimiser: Optimizer) -> tuple[str, ...]:
    if isinstance(optimiser, torch.optim.Adam):
        return ("step", "exp_avg", "exp_avg_sq")
    return ("momentum_buffer",) if optimiser.defaults["momentum"] else ()


def _parameters(model: nn.Module, optimiser: Optimizer) -> Iterator[tuple[str, nn.Parameter]]:
    """The optimiser's parameters in its order, under the model's names."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            yield names[parameter], parameter


def _shape(slot: str, parameter: Tensor) -> tuple[int, ...]:
    return (1,) if slot == "step" else tuple(parameter.shape)


def _stored(stored: str, arrays: Arrays, slot: str, parameter: nn.Parameter) -> Tensor:
    if stored not in arrays:
        raise Misuse(f"the optimiser's state lacks {stored!r}")
    value = checked(stored, arrays[stored], _shape(slot, parameter))
    if slot == "step":
        return value[0]
    # In the parameter's memory layout: a fused optimiser walks through the memory of both in parallel.
    return torch.empty_like(parameter, requires_grad=False).copy_(value)
