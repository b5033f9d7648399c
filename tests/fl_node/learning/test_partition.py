"""Dealing out: every sample once, no member without any."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_node.errors import DataUnusable
from fl_node.learning.partition import Classes, Dirichlet, Iid, parse_partition, partition

RULES = st.one_of(
    st.just(Iid()),
    st.floats(0.01, 100).map(Dirichlet),
    st.integers(1, 3).map(Classes),
)
LABELS = st.lists(st.integers(0, 9), min_size=30, max_size=120).map(np.array)
SEEDS = st.integers(0, 2**63 - 1)


@given(RULES, LABELS, st.integers(1, 10), SEEDS)
def test_every_sample_goes_to_exactly_one_part_and_no_part_is_empty(rule, labels, parts, seed):
    dealt = partition(rule, labels, parts, seed)
    assert len(dealt) == parts
    assert all(len(indices) for indices in dealt)
    assert sorted(np.concatenate(dealt)) == list(range(len(labels)))


@given(RULES, LABELS, st.integers(1, 10), SEEDS)
def test_the_same_seed_deals_the_same(rule, labels, parts, seed):
    once, again = (partition(rule, labels, parts, seed) for _ in range(2))
    assert all(map(np.array_equal, once, again))


@given(LABELS, st.integers(1, 10), SEEDS)
def test_iid_parts_differ_by_one_sample_at_most(labels, parts, seed):
    sizes = [len(indices) for indices in partition(Iid(), labels, parts, seed)]
    assert max(sizes) - min(sizes) <= 1


def test_with_classes_k_a_member_sees_about_k_classes():
    labels = np.repeat(np.arange(10), 60)
    for indices in partition(Classes(2), labels, 5, seed=1):
        assert len(np.unique(labels[indices])) <= 4


def test_a_small_alpha_makes_members_differ_and_a_large_one_alike():
    labels = np.repeat(np.arange(10), 300)

    def spread(alpha: float) -> float:
        dealt = partition(Dirichlet(alpha), labels, 5, seed=1)
        return np.std([np.bincount(labels[indices], minlength=10) for indices in dealt])

    assert spread(0.1) > 3 * spread(1000)


@pytest.mark.parametrize(
    ("text", "rule"),
    [("iid", Iid()), ("dirichlet:0.5", Dirichlet(0.5)), ("classes:2", Classes(2))],
)
def test_a_partition_is_read_from_text(text, rule):
    assert parse_partition(text) == rule


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "iid:1",
            "dirichlet",
            "dirichlet:0",
            "dirichlet:-1",
            "dirichlet:nan",
            "dirichlet:inf",
        ),
        *("classes:0", "classes:two", "shards:2"),
    ],
)
def test_another_text_is_refused_with_what_is_allowed(text):
    with pytest.raises(DataUnusable, match="allowed: iid, dirichlet:ALPHA"):
        parse_partition(text)


def test_fewer_samples_than_shares_are_refused():
    with pytest.raises(DataUnusable, match="3 samples cannot be partitioned into 4 parts"):
        partition(Classes(2), np.array([0, 1, 2]), 2, seed=0)
