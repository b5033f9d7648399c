"""Partitions: every sample goes to one member, and no member gets too few."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_node.errors import DataUnusable
from fl_node.learning.data import load_images, split_held_out
from fl_node.learning.partition import Classes, Dirichlet, Iid, parse_partition, partition

RULES = st.one_of(
    st.just(Iid()),
    st.builds(Dirichlet, st.floats(1, 100), st.integers(1, 2)),
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


class Grey(NamedTuple):
    channels: int = 1
    size: int = 32


def test_ten_members_share_the_digits_at_alpha_0_1_with_every_seed():
    labels = load_images("digits", Grey()).labels_N
    for seed in range(200):
        sizes = [len(indices) for indices in partition(Dirichlet(0.1), labels, 10, seed)]
        assert min(sizes) >= 10 and sum(sizes) == len(labels)
        split_held_out(min(sizes), 0.1, seed)


@given(SEEDS, st.integers(1, 20))
def test_every_part_of_a_dirichlet_partition_has_the_least_size(seed, least):
    labels = np.repeat(np.arange(5), 40)
    dealt = partition(Dirichlet(0.3, least), labels, 4, seed)
    assert min(len(indices) for indices in dealt) >= least


def test_a_least_size_that_the_first_draw_meets_changes_nothing():
    labels = np.repeat(np.arange(10), 60)
    first, same = (partition(Dirichlet(0.5, least), labels, 5, seed=1) for least in (1, 10))
    assert all(map(np.array_equal, first, same))


@pytest.mark.parametrize(
    ("rule", "parts"), [(Dirichlet(0.5, 31), 10), (Dirichlet(0.001, 25), 10)], ids=str
)
def test_a_least_size_that_no_draw_meets_is_refused_in_one_line(rule, parts):
    labels = np.repeat(np.arange(10), 30)
    with pytest.raises(DataUnusable, match=f"each of {parts} parts at least {rule.min_size}") as no:
        partition(rule, labels, parts, seed=1)
    assert "\n" not in str(no.value) and "dirichlet:ALPHA:MIN" in str(no.value)


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
    [
        ("iid", Iid()),
        ("dirichlet:0.5", Dirichlet(0.5, 10)),
        ("dirichlet:0.5:1", Dirichlet(0.5, 1)),
        ("classes:2", Classes(2)),
    ],
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
            "dirichlet:0.5:0",
            "dirichlet:0.5:",
            "dirichlet:0.5:few",
            "dirichlet:0.5:1:1",
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
