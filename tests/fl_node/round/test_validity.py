"""Which updates count. Each rule refuses what it is there for, and says its name."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.types import Address
from fl_node.blobs.encoding import LONGEST_VERSION, EncodedUpdate, UpdateHeader
from fl_node.blobs.metrics import LONGEST
from fl_node.blobs.tensors import schema_of
from fl_node.errors import UpdateInvalid
from fl_node.manifest.manifest import Limits
from fl_node.round.form import form_of
from fl_node.round.validity import NORM_LANES, norm, verify_update
from fl_node.strategy.roles import Roles
from fl_node.strategy.strategy import Encode

HEADER = UpdateHeader(1, 2, Address("0x" + "11" * 20), bytes(32), 10, 5, "float32", 9)
MODEL = schema_of({"w": np.zeros((2, 2), np.float64), "b": np.zeros(3, np.float32)})
ARRAYS = {"w": np.ones((2, 2), np.float32), "b": np.zeros(3, np.float32)}
LIMITS = Limits(update_norm=Decimal(2), examples=100)


def verify(arrays=ARRAYS, header=HEADER, expected=HEADER, limits=LIMITS):
    form = form_of(MODEL, Roles())
    return verify_update(EncodedUpdate(header, arrays), expected, Encode(), form, limits)


def rule_broken(**given) -> str:
    with pytest.raises(UpdateInvalid) as caught:
        verify(**given)
    return caught.value.rule


def test_a_valid_update_passes():
    verify()


@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("examples", [1, 100])
def test_the_least_and_the_most_steps_and_examples_pass(steps, examples):
    expected = replace(HEADER, num_examples=examples)
    verify(header=replace(expected, steps=steps), expected=expected)


@pytest.mark.parametrize("scale", [0.9, 0.999, 1.0])
def test_a_norm_up_to_the_limit_passes(scale):
    verify(arrays={name: (array * scale).astype(np.float32) for name, array in ARRAYS.items()})


@pytest.mark.parametrize("element", [1e-30, 1e-23, 1e30])
def test_limits_beyond_the_reach_of_float32_squares_are_exact(element):
    arrays = ARRAYS | {"b": np.array([0, element, 0], np.float32)}
    arrays = {name: array * (name == "b") for name, array in arrays.items()}
    exact = Decimal(norm(arrays))
    verify(arrays=arrays, limits=Limits.model_construct(update_norm=exact, examples=100))
    below = Limits.model_construct(update_norm=exact * Decimal("0.999"), examples=100)
    with pytest.raises(UpdateInvalid):
        verify(arrays=arrays, limits=below)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("task", 2),
        ("round", 3),
        ("client", Address("0x" + "22" * 20)),
        ("parent_digest", b"\1" * 32),
        ("num_examples", 11),
        ("codec", "other"),
        ("seed", 8),
    ],
)
def test_a_header_that_is_not_what_the_chain_recorded(field, value):
    assert rule_broken(header=replace(HEADER, **{field: value})) == field


STATING = replace(
    HEADER, metrics={"accuracy": Decimal("0.5"), "auc": None}, versions={"torch": "2.15.0"}
)


def test_what_a_member_measured_and_ran_is_its_own_word():
    longest = replace(
        STATING,
        metrics=dict.fromkeys(STATING.metrics, LONGEST),
        versions={"torch": LONGEST_VERSION},
    )
    verify(header=STATING, expected=longest)


@pytest.mark.parametrize("field", ["metrics", "versions"])
@pytest.mark.parametrize("change", ["none", "one missing", "one more", "another"])
def test_other_names_than_the_manifest_has(field, change):
    stated = dict(getattr(STATING, field))
    first = min(stated)
    changed = {
        "none": {},
        "one missing": {name: stated[name] for name in stated if name != first},
        "one more": stated | {"more": stated[first]},
        "another": {f"{name}x": value for name, value in stated.items()},
    }[change]
    assert rule_broken(header=replace(STATING, **{field: changed}), expected=STATING) == field


@pytest.mark.parametrize("field", ["metrics", "versions"])
def test_names_where_the_manifest_has_none(field):
    header = replace(HEADER, **{field: getattr(STATING, field)})
    with pytest.raises(UpdateInvalid, match=rf"^{field}: expected none, got [a-z, ]+$"):
        verify(header=header)


@pytest.mark.parametrize("examples", [0, 101, 10**9])
def test_an_absurd_count_of_examples(examples):
    header = replace(HEADER, num_examples=examples)
    assert rule_broken(header=header, expected=header) == "examples_limit"


@pytest.mark.parametrize("steps", [0, 6, 10**9])
def test_an_absurd_count_of_steps(steps):
    assert rule_broken(header=replace(HEADER, steps=steps)) == "steps_limit"


@pytest.mark.parametrize(
    "arrays",
    [
        {"w": ARRAYS["w"]},
        ARRAYS | {"more": np.zeros(1, np.float32)},
        {"W": ARRAYS["w"], "b": ARRAYS["b"]},
        ARRAYS | {"w": np.ones(4, np.float32)},
        ARRAYS | {"w": np.ones((2, 2), np.float64)},
        {},
    ],
    ids=["one missing", "one more", "another name", "another shape", "another dtype", "none"],
)
def test_other_tensors_than_the_manifest_has(arrays):
    assert rule_broken(arrays=arrays) == "tensors"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_single_number_that_is_not_finite(value):
    bias = np.array([0, value, 0], np.float32)
    assert rule_broken(arrays=ARRAYS | {"b": bias}) == "finite"


def test_a_norm_above_the_limit_by_the_least_amount():
    bias = np.array([0, 0, 1e-3], np.float32)
    assert rule_broken(arrays=ARRAYS | {"b": bias}) == "norm_limit"


def test_the_message_says_which_counts_are_allowed():
    with pytest.raises(UpdateInvalid, match=r"steps_limit: expected 1 to 5, got 6"):
        verify(header=replace(HEADER, steps=6))
    most = replace(HEADER, num_examples=101)
    with pytest.raises(UpdateInvalid, match=r"examples_limit: expected 1 to 100, got 101"):
        verify(header=most, expected=most)


def test_the_message_says_what_was_expected_and_what_came():
    with pytest.raises(UpdateInvalid, match=r"round: expected 2, got 3"):
        verify(header=replace(HEADER, round=3))


def norm_by_definition(arrays) -> float:
    """The docstring of `norm`, read slowly."""
    sums = [0.0] * NORM_LANES
    for name in sorted(arrays):
        for index, value in enumerate(arrays[name].reshape(-1).tolist()):
            sums[index % NORM_LANES] += value * value
    return math.sqrt(math.fsum(sums))


@given(st.integers(0, 2**32), st.lists(st.integers(1, 3 * NORM_LANES), min_size=1, max_size=3))
def test_the_norm_is_the_documented_sum_to_the_last_bit(seed, sizes):
    random = np.random.default_rng(seed)
    arrays = {f"t{size}": random.standard_normal(size).astype(np.float32) for size in sizes}
    assert norm(arrays) == norm_by_definition(arrays)


def test_the_norm_does_not_overflow_in_float32():
    assert norm({"w": np.full(4, 3e38, np.float32)}) == pytest.approx(6e38)
