"""Optimisers' state as arrays and back."""

import copy

import pytest
import torch
from torch import nn

from fl_node.errors import Misuse
from fl_node.learning.optimisers import FixedState
from fl_node.learning.steps import Training

MAKERS = {
    "adam": lambda parameters: torch.optim.Adam(parameters, 0.01, fused=True),
    "sgd": lambda parameters: torch.optim.SGD(parameters, 0.01, fused=True),
    "momentum": lambda parameters: torch.optim.SGD(parameters, 0.01, momentum=0.9, fused=True),
}


def training(kind: str, layout=torch.contiguous_format, model=None) -> Training:
    model = model or nn.ModuleDict({"part": nn.Conv2d(8, 8, 4)}).to(memory_format=layout)
    return Training(model, {"part": MAKERS[kind](model.parameters())})


def step(one: Training) -> None:
    random = torch.Generator().manual_seed(0)
    for parameter in one.model.parameters():
        gradient = torch.randn(parameter.shape, generator=random)
        parameter.grad = torch.empty_like(parameter).copy_(gradient)
    one.optimisers["part"].step()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("kind", MAKERS)
def test_an_optimiser_filled_from_stored_state_steps_as_if_it_had_gone_on(kind, layout):
    """Also in the memory layout that GPUs get, where stored state, in C order, is laid out otherwise."""
    going_on = training(kind, layout)
    step(going_on)
    restarted = training(kind, model=copy.deepcopy(going_on.model))
    FixedState(restarted).fill(FixedState(going_on).arrays())
    step(going_on)
    step(restarted)
    assert torch.equal(going_on.model["part"].weight, restarted.model["part"].weight)
    assert torch.equal(going_on.model["part"].bias, restarted.model["part"].bias)


@pytest.mark.parametrize(
    ("kind", "slots"),
    [
        ("adam", {"exp_avg", "exp_avg_sq", "step"}),
        ("momentum", {"momentum_buffer"}),
        ("sgd", set()),
    ],
)
def test_each_kind_keeps_its_own(kind, slots):
    one = training(kind)
    step(one)
    expected = {f"optimiser.{slot}.part.{name}" for slot in slots for name in ("weight", "bias")}
    assert FixedState(one).arrays().keys() == expected


def test_another_optimisers_state_is_refused():
    one = training("momentum")
    step(one)
    with pytest.raises(Misuse, match=r"lacks 'optimiser\.step\.part\.weight'"):
        FixedState(training("adam")).fill(FixedState(one).arrays())


def test_state_of_another_shape_is_refused():
    one = training("adam")
    step(one)
    arrays = FixedState(one).arrays()
    arrays["optimiser.exp_avg.part.bias"] = arrays["optimiser.exp_avg.part.bias"][:1]
    with pytest.raises(Misuse, match=r"expected float32 \(8,\), got float32 \(1,\)"):
        FixedState(training("adam")).fill(arrays)
