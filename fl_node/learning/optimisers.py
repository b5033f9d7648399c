"""The shipped kinds' optimisers, and the named arrays in which a member keeps their state between rounds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer

from fl_node.arrays import Array, Arrays
from fl_node.errors import Misuse
from fl_node.learner import OPTIMISER
from fl_node.learning.steps import Training
from fl_node.learning.transfer import fill_tensors, to_arrays

Chosen = TypeVar("Chosen", bound=Optimizer)

PREFIX = f"{OPTIMISER}."
"""Prefix of every name; no tensor of a model has it."""

RECORDED = {"cuda", "meta"}
"""The kinds of device on which steps are as a graph records them; tests check them on meta, which computes nothing."""


def adam(parameters: Iterable[nn.Parameter], **knobs: Any) -> Adam:
    """Adam in the form that is fastest on the parameters' device, and that a graph can record on CUDA.

    Args:
        parameters: At least one, on one device.
        knobs: As for torch's Adam; `set_knobs` can change them later.
    """
    parameters = list(parameters)
    device = parameters[0].device
    fused, recorded = device.type != "mps", device.type in RECORDED
    return _with_rate_on(device, Adam(parameters, fused=fused, capturable=recorded, **knobs))


def sgd(parameters: Iterable[nn.Parameter], **knobs: Any) -> SGD:
    """Stochastic gradient descent, as for `adam`."""
    parameters = list(parameters)
    device = parameters[0].device
    return _with_rate_on(device, SGD(parameters, fused=device.type != "mps", **knobs))


def set_knobs(optimiser: Optimizer, **knobs: Any) -> None:
    """Set knobs such as `lr` for the next steps. A rate on the device changes in place, where a graph reads it."""
    for group in optimiser.param_groups:
        rate = knobs.get("lr")
        if rate is not None and isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
            group.update({name: value for name, value in knobs.items() if name != "lr"})
        else:
            group.update(knobs)


class FixedState:
    """The state of a training's optimisers in memory that stays where it is, as recorded steps need it.

    For Adam and SGD alone, whose state may begin with zeros; `fl_node.learning.optimiser_state` is for any optimiser.
    """

    def __init__(self, training: Training) -> None:
        """The state of these optimisers."""
        self._training = training

    def arrays(self) -> dict[str, Array]:
        """The state as float32 arrays `optimiser.SLOT.PARAMETER`; `step` is a count, of shape (1,)."""
        return to_arrays(_state(self._training))

    def fill(self, arrays: Arrays) -> None:
        """Put stored state back.

        Raises:
            Misuse: The arrays are not the state of these optimisers.
        """
        state = _state(self._training)
        for name in state:
            if name not in arrays:
                raise Misuse(f"the optimiser's state lacks {name!r}")
        fill_tensors(state, arrays)

    @torch.no_grad()
    def reset(self) -> None:
        """Set the state to that before the first step."""
        for value in _state(self._training).values():
            value.zero_()


def _with_rate_on(device: torch.device, optimiser: Chosen) -> Chosen:
    """Where steps are recorded, hold the rate as a tensor: of a number, a recording would keep the first value."""
    if device.type in RECORDED:
        for group in optimiser.param_groups:
            group["lr"] = torch.tensor(group["lr"], device=device)
    return optimiser


def _state(training: Training) -> dict[str, Tensor]:
    """The tensors of the optimisers' state, each seen in the shape of its array."""
    return {
        f"{PREFIX}{slot}.{name}": value.reshape(1) if slot == "step" else value
        for optimiser in training.optimisers.values()
        for name, parameter in _parameters(training.model, optimiser)
        for slot, value in _slots(optimiser, parameter).items()
    }


def _slots(optimiser: Optimizer, parameter: nn.Parameter) -> dict[str, Tensor]:
    """A parameter's state. It begins with zeros, which are the same as none, but have their memory from the start."""
    names = ("step", "exp_avg", "exp_avg_sq") if isinstance(optimiser, Adam) else ()
    if optimiser.defaults.get("momentum"):
        names = ("momentum_buffer",)
    state: dict[str, Tensor] = optimiser.state[parameter]
    if not state:
        state.update({name: _zeros(name, optimiser, parameter) for name in names})
    return {name: state[name] for name in names}


def _zeros(slot: str, optimiser: Optimizer, parameter: nn.Parameter) -> Tensor:
    if slot != "step":
        # In the parameter's memory layout: a fused optimiser walks through the memory of both in parallel.
        return torch.zeros_like(parameter, requires_grad=False)
    # Only fused optimisers count steps on the device.
    return torch.zeros((), device=parameter.device if optimiser.defaults["fused"] else "cpu")


def _parameters(model: nn.Module, optimiser: Optimizer) -> Iterator[tuple[str, nn.Parameter]]:
    """The optimiser's parameters in its order, under the model's names."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            yield names[parameter], parameter
