"""What holds for every rule in the table, so that a new one is held to it from the day it is listed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from combining import combined, random_updates, update, update_of
from hypothesis import given
from hypothesis import strategies as st

from fl_node import arithmetic
from fl_node.arrays import Arrays
from fl_node.blobs.encoding import Update
from fl_node.blobs.global_state import first_state
from fl_node.blobs.model import encode_model
from fl_node.errors import Misuse
from fl_node.fields import Choice
from fl_node.strategy.combine import COMBINE

ROOT = Path(__file__).parents[3]
KNOBS = [choice() for choice in COMBINE]
every_rule = pytest.mark.parametrize("knobs", KNOBS, ids=lambda knobs: knobs.kind)

MIXED = {
    "half": np.full((2, 1), 1.5, np.float16),
    "single": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3),
    "double": np.full(3, 1 / 3),
    "byte": np.array([0, 7, 255], np.uint8),
    "count": np.array([-(2**63), 5, 2**63 - 1], np.int64),
}

GOLDEN = {
    "weighted_mean": "d246f020b278cbb923826be08478c4f93ba36f27c3a939a6586375f5879d568e",
    "momentum": "dd5d2c3a393b68a3de60babc5c353ef92566c1fa11189012cde598b0099e9c71",
    "adagrad": "7bb7660a0bf5b5f9c1ef4ed321d9c2d07e13c292e70cea854b20f79fd4d9b8d9",
    "adam": "16b9a41d460050bdb3e9eb9ebfd3c62dc37a5d59d83a0c5e884d1f68740f6bc5",
    "yogi": "b9dc643e5e5dfebde290d485c6a79ea1104b747e3eff87519c5df2d1b4a7837c",
    "fednova": "fda4b0f2c9a6762ad47068e8196ceb8fcc31c4da2cfffb3ff944c6750f1d62f1",
    "median": "23da4daba05ff37dea3a45c5888891551ee298478638b0c135d51c91925980ae",
    "trimmed_mean": "5e170a846cc935edd71926b06a4349d2fcc7bf6c95f4d3db3fa2984ca8f1a4c3",
    "krum": "edeb4f11d6738781e03c19fc4291f7a8b392e4b73e1554dd3fb75008007ed12a",
}
"""sha256 of the model blob that each rule makes of the golden state and updates. Digests on chains depend on it."""


def golden_values(seed: int, size: int) -> np.ndarray:
    """float32 between -1 and 1, of integer arithmetic alone."""
    numbers = (np.arange(size, dtype=np.int64) * 7_919 + seed * 104_729) * 15_485_863 % (1 << 20)
    return (numbers.astype(np.float32) - np.float32(1 << 19)) / np.float32(1 << 19)


def golden_state(knobs: Choice) -> dict[str, np.ndarray]:
    state = first_state(
        {"w": golden_values(0, 1_500), "n": np.array([3, 4])}, COMBINE[type(knobs)].slots
    )
    return {
        name: abs(golden_values(99, array.size)) if name.startswith("server.") else array
        for name, array in state.items()
    }


def golden_updates() -> list[Update]:
    return [
        update_of(
            client,
            {"w": golden_values(client, 1_500), "n": np.array([0.5, client], np.float32)},
            examples=10 * client,
            steps=3 + client,
        )
        for client in range(1, 8)
    ]


def golden_digest(knobs: Choice) -> str:
    result = COMBINE[type(knobs)].combine(knobs, golden_state(knobs), golden_updates())
    return hashlib.sha256(encode_model(result)).hexdigest()


def mixed_update(client: int, value: float, **header: int) -> Update:
    arrays = {name: np.full(array.shape, value, np.float32) for name, array in MIXED.items()}
    return update_of(client, arrays, **header)


@every_rule
def test_the_bytes_are_the_golden_ones(knobs):
    assert golden_digest(knobs) == GOLDEN[knobs.kind]


@pytest.mark.slow
def test_the_processor_changes_no_byte():
    """Without its vector extensions numpy runs other code: other loops, and above all another sort."""
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    program = "import test_every_rule as t; print(*map(t.golden_digest, t.KNOBS))"
    environment = {
        **os.environ,
        "NPY_DISABLE_CPU_FEATURES": " ".join(found),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)]),
    }
    printed = subprocess.run(
        [sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True
    )
    assert printed.stdout.split() == [golden_digest(knobs) for knobs in KNOBS]


@every_rule
def test_without_updates_the_parent_stays_byte_for_byte(knobs):
    parent = golden_state(knobs) | {"w": np.array([-0.0, 1e-45], np.float32)}
    assert encode_model(COMBINE[type(knobs)].combine(knobs, parent, [])) == encode_model(parent)


@every_rule
def test_the_order_of_addresses_is_insisted_on(knobs):
    first, second, third = random_updates(1, 3, 4)
    parent = {"w": np.zeros(4, np.float32)}
    for wrong in ([second, first, third], [first, first, second], [first, third, second]):
        with pytest.raises(Misuse, match="ascend"):
            combined(knobs, parent, wrong)


@every_rule
def test_every_tensor_keeps_its_name_shape_and_dtype(knobs):
    updates = [mixed_update(client, 1.6) for client in range(1, 6)]
    result = combined(knobs, MIXED, updates)
    before = first_state(MIXED, COMBINE[type(knobs)].slots)
    assert {name: (array.shape, array.dtype) for name, array in result.items()} == {
        name: (array.shape, array.dtype) for name, array in before.items()
    }


@every_rule
def test_a_count_moves_to_the_nearest_integer_and_no_further_than_its_range(knobs):
    result = combined(knobs, MIXED, [mixed_update(client, 1.6) for client in range(1, 6)])
    assert result["byte"].tolist() == [2, 9, 255]
    assert result["count"].tolist()[1] == 7


@every_rule
@pytest.mark.parametrize("count", range(1, 9))
@pytest.mark.parametrize("value", [3.4e38, -3.4e38, 1e-45])
def test_no_finite_update_makes_a_weight_infinite(knobs, count, value):
    updates = [
        mixed_update(client, value, examples=2**53 - client, steps=1 + client % 2 * 2**31)
        for client in range(1, count + 1)
    ]
    state = MIXED
    for _ in range(3):
        state = combined(knobs, state, updates)
        assert all(np.isfinite(array).all() for array in state.values())


@every_rule
def test_nothing_that_is_handed_in_is_changed_or_needed_twice(knobs):
    parent = _frozen(golden_state(knobs))
    updates = [Update(one.header, _frozen(one.arrays)) for one in golden_updates()]
    result = COMBINE[type(knobs)].combine(knobs, parent, iter(updates))
    assert encode_model(result) == encode_model(
        COMBINE[type(knobs)].combine(knobs, golden_state(knobs), golden_updates())
    )


@every_rule
def test_what_travels_beside_the_difference_is_passed_over(knobs):
    beside = [
        replace(one, arrays={**one.arrays, "control.w": one.arrays["w"]})
        for one in golden_updates()
    ]
    result = COMBINE[type(knobs)].combine(knobs, golden_state(knobs), beside)
    assert hashlib.sha256(encode_model(result)).hexdigest() == golden_digest(knobs)


@every_rule
@pytest.mark.parametrize("chunk", [1, 1_024, 100_000])
def test_the_size_of_a_chunk_changes_no_byte(monkeypatch, knobs, chunk):
    expected = golden_digest(knobs)
    monkeypatch.setattr(arithmetic, "CHUNK", chunk)
    assert golden_digest(knobs) == expected


@every_rule
@given(st.integers(0, 2**32), st.integers(3, 8), st.integers(1, 1000), st.integers(1, 100))
def test_equal_updates_come_to_the_same_however_many_there_are(knobs, seed, count, examples, steps):
    (one,) = random_updates(seed, 1, 20)
    parent = {"w": np.ones(20, np.float32)}
    equal = [update(k + 1, one.arrays["w"], examples + k, steps) for k in range(count)]
    assert encode_model(combined(knobs, parent, equal)) == encode_model(
        combined(knobs, parent, equal[:3])
    )


@pytest.mark.parametrize(
    "knobs", [one for one in KNOBS if not COMBINE[type(one)].slots], ids=lambda knobs: knobs.kind
)
@given(st.integers(0, 2**32), st.integers(3, 8), st.integers(1, 1000), st.integers(1, 100))
def test_without_a_memory_equal_updates_average_to_themselves(knobs, seed, count, examples, steps):
    (one,) = random_updates(seed, 1, 20)
    equal = [update(k + 1, one.arrays["w"], examples + k, steps) for k in range(count)]
    result = combined(knobs, {"w": np.zeros(20, np.float32)}, equal)
    assert result["w"].tobytes() == one.arrays["w"].tobytes()


def test_no_two_rules_have_the_same_name():
    assert len({knobs.kind for knobs in KNOBS}) == len(COMBINE)
    assert GOLDEN.keys() == {knobs.kind for knobs in KNOBS}


def _frozen(arrays: Arrays) -> Arrays:
    copies = {name: array.copy() for name, array in arrays.items()}
    for array in copies.values():
        array.flags.writeable = False
    return copies
