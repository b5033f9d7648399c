"""`Context.state` as bytes: everything that Flower lets an app keep comes back, and nothing else is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("flwr")

from flwr.app import Array as FlowerArray
from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from fl_node.errors import TrainingFailed
from fl_node.flower.state import STATE, kept, restored

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
INTEGERS = st.integers(-(2**63), 2**64 - 1)
FLOATS = st.floats(allow_nan=False)
SETTINGS = INTEGERS | FLOATS | st.booleans() | st.binary(max_size=9) | NAMES
METRICS = INTEGERS | FLOATS | st.lists(INTEGERS, max_size=3) | st.lists(FLOATS, max_size=3)
ARRAYS = st.builds(
    lambda shape, dtype: FlowerArray(np.full(shape, 3, dtype)),
    st.lists(st.integers(0, 3), max_size=3).map(tuple),
    st.sampled_from(["float32", "float64", "int64", "bool", "complex64", ">f4"]),
)
RECORDS = (
    st.builds(ArrayRecord, st.dictionaries(NAMES, ARRAYS, max_size=3))
    | st.builds(MetricRecord, st.dictionaries(NAMES, METRICS, max_size=3))
    | st.builds(ConfigRecord, st.dictionaries(NAMES, SETTINGS, max_size=3))
)


@given(st.builds(RecordDict, st.dictionaries(NAMES, RECORDS, max_size=4)))
def test_what_is_kept_comes_back_in_its_order_and_types(state: RecordDict) -> None:
    again = restored(kept(state, 1 << 20))

    assert again == state
    assert list(again) == list(state)
    assert {k: (type(r), list(r), [type(v) for v in r.values()]) for k, r in again.items()} == {
        k: (type(r), list(r), [type(v) for v in r.values()]) for k, r in state.items()
    }


def test_nan_and_the_infinities_come_back() -> None:
    state = RecordDict({"m": MetricRecord({"all": [float("nan"), float("inf"), -0.0]})})
    nan, infinite, zero = restored(kept(state, 1 << 20))["m"]["all"]

    assert np.isnan(nan) and infinite == float("inf") and str(zero) == "-0.0"


def test_an_array_of_another_kind_than_numpy_s_keeps_its_bytes() -> None:
    state = RecordDict({"a": ArrayRecord({"x": FlowerArray("blob", (3,), "mine", b"\0\1\2")})})

    assert restored(kept(state, 1 << 20)) == state


def test_an_empty_state_keeps_nothing() -> None:
    assert kept(RecordDict(), 0) == {}
    assert restored(None) == restored({}) == RecordDict()


def test_a_large_state_is_not_kept() -> None:
    state = RecordDict({"a": ArrayRecord({"x": FlowerArray(np.zeros(1000, np.uint8))})})

    with pytest.raises(TrainingFailed, match=r"has .* bytes; at most 1000 are kept"):
        kept(state, 1000)


def test_what_has_no_utf_8_is_not_kept() -> None:
    with pytest.raises(TrainingFailed, match="cannot be kept"):
        kept(RecordDict({"\ud800": MetricRecord({"a": 1})}), 1 << 20)


@pytest.mark.parametrize("change", [0, 8, 20, 60, -1])
def test_altered_bytes_are_one_line(change: int) -> None:
    private = kept(RecordDict({"a": MetricRecord({"b": 1})}), 1 << 20)[STATE].copy()
    private[change] ^= 0x40

    try:
        state: Any = restored({STATE: private})
    except TrainingFailed as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(state, RecordDict)  # A changed name or number is still a state.
