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
}

GOLDEN = {
    "weighted_mean": "e94adac169890c3011d4df5acb8de0489f34f51d4e91077e44e27b80225d5ddc",
    "momentum": "47816bf70a1a3613bf26e7555a9d9f03f0af736d49901ecde804649a861ba067",
    "adagrad": "272465a998764f6c61ec50a973f9f596e56f8e43bda21718c929dce99b606aaf",
    "adam": "6869ccbb960a3601f5f72137ff3bf8e8326e3f0e31f15d68847c4bb1fc3dceec",
    "yogi": "854764e1914c308917db152127270cc02f3abaeed7f13b171cce557bd8869d98",
    "fednova": "6a1eefeebb75a79532680e789ab632e9f37bac58797cc1eed03c275b5e66ba20",
    "median": "cbbf3db8659bc8bfd4096b6bb6c18a97cac19a9931fd2f907148b459ea7eda8e",
    "trimmed_mean": "b4a52087a2f03118078cf178fd554c78e722ec76b64e722ac66a4c18e0d2b937",
    "krum": "10e17f912e887f9fc74e2d3bc039beefe68f8d190d02e7adbcfadf72de16775f",
}
"""sha256 of the model blob that each rule makes of the golden state and updates. Digests on chains depend on it."""


def golden_values(seed: int, size: int) -> np.ndarray:
    """float32 between -1 and 1, of integer arithmetic alone."""
    numbers = (np.arange(size, dtype=np.int64) * 7_919 + seed * 104_729) * 15_485_863 % (1 << 20)
    return (numbers.astype(np.float32) - np.float32(1 << 19)) / np.float32(1 << 19)


def golden_state(knobs: Choice) -> dict[str, np.ndarray]:
    state = first_state(
        {"w": golden_values(0, 1_500), "n": np.array([3.0, 4.0])}, COMBINE[type(knobs)].slots
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


@every_rule
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@given(st.integers(0, 2**32), st.integers(1, 6), st.sampled_from([1e-9, 1.0, 1e4, 1e30]))
def test_narrow_weights_are_the_wide_ones_rounded_once(knobs, dtype, seed, count, size):
    """Everything is computed in float64, whatever the model is in."""
    updates = [
        update(k + 1, one.arrays["w"] * np.float32(size), one.header.num_examples)
        for k, one in enumerate(random_updates(seed, count, 20))
    ]
    parent = {"w": np.linspace(-2, 2, 20).astype(dtype)}
    narrow = combined(knobs, parent, updates)["w"]
    wide = combined(knobs, {"w": parent["w"].astype(np.float64)}, updates)["w"]
    limit = float(np.finfo(dtype).max)
    assert narrow.tobytes() == np.clip(wide, -limit, limit).astype(dtype).tobytes()


def test_no_two_rules_have_the_same_name():
    assert len({knobs.kind for knobs in KNOBS}) == len(COMBINE)
    assert GOLDEN.keys() == {knobs.kind for knobs in KNOBS}


def _frozen(arrays: Arrays) -> Arrays:
    copies = {name: array.copy() for name, array in arrays.items()}
    for array in copies.values():
        array.flags.writeable = False
    return copies
