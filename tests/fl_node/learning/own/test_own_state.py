"""What a member keeps of a user's own model: any optimiser's state, and no tensor that is as the task started."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import nn, optim

from fl_node.blobs.tensors import decode_tensors, encode_tensors
from fl_node.child.setup import Setup
from fl_node.errors import Misuse
from fl_node.learner import Assignment
from fl_node.learning.optimiser_state import FORM, AnyState
from fl_node.learning.own import build_genesis, open_learner
from fl_node.learning.steps import Training

MAKERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "adadelta": optim.Adadelta,
    "adagrad": lambda parameters: optim.Adagrad(parameters, initial_accumulator_value=0.5),
    "adam": optim.Adam,
    "adam, amsgrad": lambda parameters: optim.Adam(parameters, amsgrad=True),
    "adamw": optim.AdamW,
    "adamax": optim.Adamax,
    "asgd": optim.ASGD,
    "nadam": optim.NAdam,
    "radam": optim.RAdam,
    "rmsprop": lambda parameters: optim.RMSprop(parameters, momentum=0.5, centered=True),
    "rprop": optim.Rprop,
    "sgd": lambda parameters: optim.SGD(parameters, 0.1),
    "sgd, dampened": lambda parameters: optim.SGD(parameters, 0.1, momentum=0.9, dampening=0.5),
    "lbfgs": lambda parameters: optim.LBFGS(parameters, max_iter=2),
}
EVERY = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def training(make: Callable[[Any], optim.Optimizer]) -> Training:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
    return Training(model, {"model": make(model.parameters())})


def step(one: Training, seed: int) -> None:
    inputs = torch.randn(8, 3, generator=torch.Generator().manual_seed(seed))

    def closure() -> Any:
        one.model.zero_grad()
        loss = one.model(inputs).square().mean()
        loss.backward()
        return loss

    one.optimisers["model"].step(closure)


def weights(one: Training) -> list[Any]:
    return [parameter.detach().numpy().tobytes() for parameter in one.model.parameters()]


@EVERY
def test_an_optimiser_filled_from_stored_state_steps_as_if_it_had_gone_on(make: Any) -> None:
    going_on, restarted = training(make), training(make)
    state, other = AnyState(going_on), AnyState(restarted)
    step(going_on, 1)
    step(going_on, 2)
    stored, _ = decode_tensors(encode_tensors(state.arrays()))
    step(restarted, 9)  # What it did before is forgotten.
    restarted.model.load_state_dict(going_on.model.state_dict())
    other.fill(stored)
    for seed in (3, 4):
        step(going_on, seed)
        step(restarted, seed)
    assert weights(going_on) == weights(restarted)


@EVERY
def test_an_optimiser_that_is_reset_steps_as_if_it_were_new(make: Any) -> None:
    used, new = training(make), training(make)
    state = AnyState(used)
    step(used, 1)
    used.optimisers["model"].param_groups[0]["lr"] = 7.0
    state.reset()
    used.model.load_state_dict(new.model.state_dict())
    for one in (used, new):
        step(one, 2)
        step(one, 3)
    assert weights(used) == weights(new)


def tensors_of(dtype: str) -> Any:
    shapes = st.lists(st.integers(0, 3), max_size=3)
    return shapes.map(lambda shape: torch.full(shape, 1.0).to(getattr(torch, dtype)))


KEPT = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.sampled_from(["float16", "bfloat16", "float64", "int16", "int64", "bool"]).flatmap(
        tensors_of
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


def same(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    if isinstance(first, (list, tuple)):
        pairs = zip(first, second, strict=True)
        return type(first) is type(second) and all(same(one, other) for one, other in pairs)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    return type(first) is type(second) and first == second


ONE, TWO = torch.tensor([1.0]), torch.tensor([2.0])


@given(KEPT)
@example({"a.b": ONE, "a": {"b": TWO}})
def test_whatever_an_optimiser_keeps_comes_back(kept: Any) -> None:
    one = training(MAKERS["sgd"])
    state, weight = AnyState(one), next(one.model.parameters())
    one.optimisers["model"].state[weight] = {"kept": kept}
    stored, _ = decode_tensors(encode_tensors(state.arrays()))
    state.reset()
    assert not one.optimisers["model"].state
    state.fill(stored)
    assert same(kept, one.optimisers["model"].state[weight]["kept"])


def test_an_optimisers_arrays_are_named_after_slot_and_parameter() -> None:
    one = training(optim.Adam)
    state = AnyState(one)
    step(one, 1)
    slots = ("exp_avg", "exp_avg_sq", "step")
    expected = {f"optimiser.{slot}.{name}" for slot in slots for name in ("weight", "bias")}
    assert state.arrays().keys() == expected | {FORM}


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"[]",
        b"{}",
        b'{"model": {"state": {"weights": {}}, "groups": [{"dict": {}}]}}',
        b"\xff",
    ],
)
def test_another_state_is_refused(damaged: bytes) -> None:
    one = AnyState(training(optim.Adam))
    with pytest.raises(Misuse, match="state"):
        one.fill({})
    with pytest.raises(Misuse, match="not that of these optimisers"):
        one.fill({FORM: np.frombuffer(damaged, np.uint8)})


def test_state_that_is_no_array_is_refused() -> None:
    one = training(optim.Adam)
    state = AnyState(one)
    one.optimisers["model"].state[next(one.model.parameters())]["object"] = object()
    with pytest.raises(Misuse, match=r"'optimiser\.object\.weight' is a object"):
        state.arrays()


def test_parameters_of_another_model_or_of_two_optimisers_are_refused() -> None:
    model, other = nn.Linear(1, 1), nn.Linear(1, 1)
    foreign = {"a": optim.SGD(other.parameters(), 0.1)}
    with pytest.raises(Misuse, match="'a' has a parameter that is not the model's"):
        AnyState(Training(model, foreign))
    twice = {name: optim.SGD(model.parameters(), 0.1) for name in "ab"}
    with pytest.raises(Misuse, match="'weight' belongs to two optimisers"):
        AnyState(Training(model, twice))


SETUP = Setup(kind="module", entry="own_models:LowRank", seed=3, batch=8, share=("down.*", "up.*"))


def test_a_frozen_base_is_not_kept_and_comes_from_the_genesis() -> None:
    genesis = build_genesis(SETUP)
    shared = {name: array for name, array in genesis.items() if not name.startswith("base.")}
    learner = open_learner(SETUP, genesis)
    before = learner.measure(shared, None)
    trained = learner.train(Assignment(shared, None, 1, 200))
    assert {name.split(".")[0] for name in trained.private} == {"optimiser"}
    assert trained.shared.keys() == shared.keys()
    after = learner.measure(trained.shared, trained.private)
    assert after.loss < before.loss / 2
    other = {**genesis, "base.weight": genesis["base.weight"] + 1}
    assert open_learner(SETUP, other).measure(trained.shared, trained.private) != after


def test_what_is_not_shared_and_moves_is_kept() -> None:
    only_up = Setup(kind="module", entry="own_models:LowRank", seed=3, batch=8, share=("up.*",))
    genesis = build_genesis(only_up)
    learner = open_learner(only_up, genesis)
    shared = {name: genesis[name] for name in ("up.weight", "up.bias")}
    trained = learner.train(Assignment(shared, None, 1, 5))
    kept = {name for name in trained.private if not name.startswith("optimiser.")}
    assert kept == {"down.weight"}


def test_a_count_that_is_not_shared_goes_on() -> None:
    setup = Setup(
        kind="module", entry="own_models:Normed", seed=3, batch=8, data="1", share=("*.weight",)
    )
    genesis = build_genesis(setup)
    learner = open_learner(setup, genesis)
    shared = {name: array for name, array in genesis.items() if name.endswith(".weight")}
    first = learner.train(Assignment(shared, None, 1, 5))
    second = learner.train(Assignment(first.shared, first.private, 2, 5))
    assert second.private["norm.num_batches_tracked"].tolist() == 10
