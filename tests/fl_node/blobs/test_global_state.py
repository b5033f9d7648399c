"""The global state: a model and what a rule keeps beside it, in one blob."""

from __future__ import annotations

import numpy as np
import pytest

from fl_node.blobs.global_state import (
    first_state,
    model_of,
    named_in_slot,
    published_schema,
    slot_of,
)
from fl_node.blobs.tensors import Spec
from fl_node.errors import Misuse

MODEL = {"w": np.ones((2, 2), np.float32), "n": np.array([3], np.int64)}
STATE = first_state(MODEL, ("momentum", "control"))
FLOAT = np.dtype(np.float32)


def test_it_starts_as_the_model_and_zeros_in_every_slot():
    assert model_of(STATE).keys() == MODEL.keys()
    assert {name for name in STATE if name not in MODEL} == {
        "server.momentum.w",
        "server.control.w",
    }
    assert all(
        STATE[name].dtype == FLOAT and not STATE[name].any() for name in STATE.keys() - MODEL
    )


@pytest.mark.parametrize("name", ["server.w", "control.w", "server.control.w"])
def test_a_model_may_not_take_the_servers_names(name):
    with pytest.raises(Misuse, match="rename it"):
        first_state({name: np.zeros(1, np.float32)}, ("control",))


def test_a_slot_is_read_by_tensor_name_and_written_back():
    slot = slot_of(STATE, "control")
    assert slot.keys() == {"w"}
    assert named_in_slot("control", slot).keys() == {"server.control.w"}


def test_a_constant_is_in_the_state_and_the_server_keeps_nothing_for_it():
    assert STATE["n"] is MODEL["n"]
    assert not [name for name in STATE if name.endswith(".n")]


def test_slots_are_kept_for_weights_alone():
    state = first_state({**MODEL, "ema.w": np.ones(2, np.float32)}, ("momentum",), {"w"})
    assert [name for name in state if name.startswith("server.")] == ["server.momentum.w"]


@pytest.mark.parametrize(
    "claimed",
    [
        np.array([4, -1]),
        np.array([0]),
        np.array([4.0]),
        np.array([np.nan]),
        np.array(4),
        np.ones((2, 2), np.int64),
    ],
    ids=["negative", "zero", "a float", "not a number", "no dimension", "two dimensions"],
)
def test_what_is_no_shape_of_a_published_tensor_is_left_out(claimed):
    state = {"server.published.d": claimed, "server.published.e": np.array([4, 1])}
    assert published_schema(state) == {"e": Spec((4, 1), FLOAT)}
