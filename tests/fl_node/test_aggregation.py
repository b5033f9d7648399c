"""The weighted mean, as laws: what must not change a byte, and what it must be equal to."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.types import Address
from fl_node import aggregation
from fl_node.aggregation import COMBINE, weighted_mean
from fl_node.encoding import Update, UpdateHeader, encode_model
from fl_node.errors import Misuse
from fl_node.manifest import Strategy

SIZE = 70_001  # two chunks and a bit


def update(client: int, values: object, examples: int = 1) -> Update:
    address = Address(f"0x{client:040x}")
    arrays = {"w": np.asarray(values, np.float32)}
    return Update(UpdateHeader(1, 1, address, bytes(32), examples), arrays)


def mean(parent: object, *updates: Update) -> np.ndarray:
    return weighted_mean({"w": np.asarray(parent, np.float32)}, updates)["w"]


def random_updates(seed: int, count: int, size: int = SIZE) -> list[Update]:
    random = np.random.default_rng(seed)
    return [
        update(k + 1, random.standard_normal(size), int(random.integers(1, 1000)))
        for k in range(count)
    ]


def test_each_update_weighs_as_many_examples_as_it_was_trained_on():
    assert mean([1.0], update(1, [4.0], 1), update(2, [8.0], 3)) == [8.0]


def test_without_updates_the_parent_stays_byte_for_byte():
    parent = {"w": np.array([-0.0, 1e-45], np.float32)}
    assert encode_model(weighted_mean(parent, [])) == encode_model(parent)


@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(1, 20))
def test_equal_updates_average_to_themselves(seed, count, examples):
    one = random_updates(seed, 1, 100)[0].arrays["w"]
    equal = [update(k + 1, one, examples + k) for k in range(count)]
    assert mean(np.zeros(100), *equal).tobytes() == one.tobytes()


@given(st.integers(0, 2**32), st.randoms())
def test_updates_arriving_in_another_order_change_no_byte(seed, random):
    updates = random_updates(seed, 5, 100)
    arrived = random.sample(updates, len(updates))
    in_order = sorted(arrived, key=lambda one: int(one.header.client, 16))
    assert mean(np.ones(100), *in_order).tobytes() == mean(np.ones(100), *updates).tobytes()


def test_the_order_of_addresses_is_insisted_on():
    first, second = update(1, [1.0]), update(2, [2.0])
    with pytest.raises(Misuse, match="ascend"):
        mean([0.0], second, first)
    with pytest.raises(Misuse, match="ascend"):
        mean([0.0], first, first)


def test_a_stream_is_taken_one_update_at_a_time():
    taken = (one for one in random_updates(1, 3, 10))
    assert weighted_mean({"w": np.zeros(10, np.float32)}, taken)["w"].shape == (10,)


@pytest.mark.parametrize("chunk", [1 << 10, 4096, 100_000])
def test_the_size_of_a_chunk_changes_no_byte(monkeypatch, chunk):
    updates = random_updates(7, 4)
    expected = mean(np.ones(SIZE), *updates).tobytes()
    monkeypatch.setattr(aggregation, "CHUNK", chunk)
    assert mean(np.ones(SIZE), *updates).tobytes() == expected


def test_every_step_is_rounded_as_documented():
    updates = random_updates(3, 6, 50)
    parent = np.random.default_rng(4).standard_normal(50).astype(np.float32)
    expected = []
    for i in range(50):
        total = 0.0
        for one in updates:
            total = total + float(one.header.num_examples) * float(one.arrays["w"][i])
        weight = sum(one.header.num_examples for one in updates)
        expected.append(np.float32(float(parent[i]) + total / float(weight)))
    assert mean(parent, *updates).tolist() == expected


@given(st.integers(0, 2**32))
def test_it_is_the_exact_mean_to_within_one_rounding(seed):
    updates = random_updates(seed, 5, 8)
    weight = sum(one.header.num_examples for one in updates)
    result = mean(np.zeros(8), *updates)
    for i in range(8):
        exact = (
            sum(Fraction(float(u.arrays["w"][i])) * u.header.num_examples for u in updates) / weight
        )
        assert abs(Fraction(float(result[i])) - exact) <= Fraction(
            float(np.spacing(abs(result[i])))
        )


def test_every_tensor_keeps_its_shape_and_dtype():
    parent = {
        "half": np.ones((2, 1), np.float16),
        "double": np.ones(3, np.float64),
        "count": np.array(5, np.int64),
    }
    steps = {name: np.full(array.shape, 1.6, np.float32) for name, array in parent.items()}
    moved = weighted_mean(parent, [Update(update(1, [0]).header, steps)])
    assert {name: (array.shape, array.dtype) for name, array in moved.items()} == {
        name: (array.shape, array.dtype) for name, array in parent.items()
    }
    assert moved["count"] == 7


def test_the_table_has_every_choice_that_a_manifest_allows():
    allowed = Strategy.model_json_schema()["properties"]["combine"]
    assert set(COMBINE) == set(allowed.get("enum", [allowed.get("const")]))
