"""Measured numbers become exact decimals with one spelling, and their means are exact."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_node.blobs.metrics import (
    BELOW,
    LONGEST,
    mean_metrics,
    metric_of,
    metrics_of,
    metrics_to_json,
    parse_metrics,
)

metrics = st.floats(-1e10, 1e10) | st.sampled_from([math.nan, math.inf, -math.inf, 1e300])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.913, "0.913"),
        (0.1 + 0.2, "0.3"),
        (1 / 3, "0.333333333"),
        (1e5, "100000"),
        (-0.0, "0"),
        (-1e-12, "0"),
        (2**-10, "0.000976562"),
        (3 * 2**-10, "0.002929688"),
        (5, "5"),
        (999_999_999.125, "999999999.125"),
        (1e9, None),
        (999_999_999.9999999, "999999999.999999881"),
        (-1e9, None),
        (1e300, None),
        (5e-324, "0"),
        (math.nan, None),
        (math.inf, None),
        (-math.inf, None),
    ],
)
def test_a_float_is_rounded_half_to_even_to_nine_decimals(value, text):
    assert metrics_to_json({"m": metric_of(value)}) == {"m": text}


@given(metrics)
def test_every_metric_is_stated_in_the_spelling_that_is_read(value):
    stated = metrics_to_json({"m": metric_of(value)})
    assert metrics_to_json(parse_metrics(stated)) == stated


@given(metrics)
def test_a_metric_is_the_nearest_decimal(value):
    metric = metric_of(value)
    if metric is None:
        assert not abs(value) < BELOW
    else:
        assert abs(Fraction(value) - Fraction(metric)) <= Fraction(1, 2 * 10**9)


def test_the_longest_metric_is_one():
    assert parse_metrics(metrics_to_json({"m": LONGEST})) == {"m": LONGEST}


def test_only_the_manifests_names_are_stated_and_each_of_them():
    assert metrics_of(["auc", "kid"], {"auc": 0.5, "loss": 2.0}) == {
        "auc": Decimal("0.5"),
        "kid": None,
    }


def test_a_mean_weighs_by_examples_and_skips_those_without_a_value():
    stated = [
        ({"auc": Decimal("0.5")}, 100),
        ({"auc": Decimal("0.8")}, 200),
        ({"auc": None}, 10**6),
    ]
    assert mean_metrics(["auc", "kid"], stated) == {"auc": Decimal("0.7"), "kid": None}
    assert mean_metrics(["auc"], []) == {"auc": None}
    assert mean_metrics([], stated) == {}


@pytest.mark.parametrize(
    ("values", "mean"),
    [
        (["0.000000001", "0.000000002"], "0.000000002"),
        (["0.000000002", "0.000000003"], "0.000000002"),
        (["-0.000000001", "-0.000000002"], "-0.000000002"),
        (["0.000000001", "-0.000000001"], "0"),
        (["0.000000001", "0"], "0"),
        (["999999999.999999999"] * 2, "999999999.999999999"),
    ],
)
def test_a_mean_between_two_decimals_is_the_even_one(values, mean):
    stated = [({"m": Decimal(value)}, 3) for value in values]
    assert metrics_to_json(mean_metrics(["m"], stated)) == {"m": mean}


@given(st.lists(st.tuples(metrics, st.integers(1, 2**53)), min_size=1, max_size=9), st.randoms())
def test_a_mean_does_not_depend_on_the_order_and_lies_between_the_values(pairs, random):
    stated = [({"m": metric_of(value)}, examples) for value, examples in pairs]
    mean = mean_metrics(["m"], stated)["m"]
    assert mean_metrics(["m"], random.sample(stated, len(stated)))["m"] == mean
    values = [value for one, _ in stated if (value := one["m"]) is not None]
    assert (mean is None) == (not values)
    if values:
        assert min(values) <= mean <= max(values)
