"""Krum picks an honest update, whatever a minority sends."""

from __future__ import annotations

import numpy as np
import pytest
from combining import combined, moved, random_updates, update, update_of
from doubles import refusal
from hypothesis import given
from hypothesis import strategies as st

from fl_node.strategy.combine import Krum
from fl_node.strategy.combine.krum import DISTANCE_LANES, squared_distances

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(st.data(), st.integers(0, 3), st.integers(0, 2**32))
def test_it_picks_an_honest_update(data, byzantine, seed):
    """The honest ones lie within 1 of each other; up to `byzantine` others lie anywhere further away."""
    count = 2 * byzantine + 3
    random = np.random.default_rng(seed)
    bad = data.draw(st.sets(st.integers(1, count), max_size=byzantine))
    far = FLOATS.filter(lambda value: abs(value) > 10)
    honest = {client: random.random(3).astype(np.float32) / 2 for client in range(1, count + 1)}
    updates = [
        update(client, [data.draw(far)] * 3 if client in bad else honest[client])
        for client in range(1, count + 1)
    ]
    picked = moved(Krum(byzantine=byzantine), np.zeros(3), *updates).tolist()
    assert picked in [values.tolist() for client, values in honest.items() if client not in bad]


def test_it_picks_the_one_with_the_nearest_neighbours():
    updates = [update(client, [value]) for client, value in enumerate([0, 3, 4, 6, 100], 1)]
    # Two nearest others each: 9+16, 1+9, 1+4, 4+9, far.
    assert moved(Krum(byzantine=1), [0.0], *updates) == [4.0]


def test_multi_krum_averages_the_best_without_weights():
    updates = [
        update(client, [value], examples=client)
        for client, value in enumerate([0, 3, 4, 6, 100], 1)
    ]
    assert moved(Krum(byzantine=1, keep=2), [0.0], *updates) == [3.5]
    assert moved(Krum(byzantine=1, keep=4), [0.0], *updates) == [3.25]


def test_of_equal_scores_the_lower_address_wins():
    updates = [update(client, [value]) for client, value in enumerate([1, -1, 1, -1, 0.5, -0.5], 1)]
    assert moved(Krum(byzantine=1), [0.0], *updates) == [0.5]
    mirrored = [update(client, -one.arrays["w"]) for client, one in enumerate(updates, 1)]
    assert moved(Krum(byzantine=1), [0.0], *mirrored) == [-0.5]


def test_claiming_many_examples_gains_nothing():
    updates = [update(client, [1.0 * client]) for client in range(1, 5)]
    liar = update(5, [50.0], examples=10**9)
    assert moved(Krum(byzantine=1), [0.0], *updates, liar)[0] < 5


@pytest.mark.parametrize(("count", "expected"), [(1, 0.0), (2, 0.0), (3, 2.0), (4, 2.0)])
def test_it_makes_do_with_what_is_left(count, expected):
    """Where fewer updates are left than five bad members ask for, it reckons with fewer; two are too few."""
    updates = [update(client, [value]) for client, value in enumerate([1.0, 2.0, 2.5, 40.0], 1)]
    assert moved(Krum(byzantine=5, keep=1), [0.0], *updates[:count]) == [expected]


@given(st.integers(3, 12), st.integers(0, 6), st.data(), st.integers(0, 2**32))
def test_bad_members_who_send_invalid_updates_gain_nothing(extra, byzantine, data, seed):
    invalid = data.draw(st.integers(0, byzantine))
    left = 2 * byzantine + extra - invalid
    bad = set(range(1, byzantine - invalid + 1))
    random = np.random.default_rng(seed)
    updates = [
        update(client, [1e6] if client in bad else random.random(1))
        for client in range(1, left + 1)
    ]
    assert moved(Krum(byzantine=byzantine), [0.0], *updates)[0] <= 1.0


@given(
    st.integers(0, 2**32),
    st.integers(2, 5),
    st.sampled_from([1, DISTANCE_LANES, DISTANCE_LANES + 1, 3 * DISTANCE_LANES]),
)
def test_distances_are_squared_euclidean_and_the_same_both_ways(seed, count, size):
    updates = random_updates(seed, count, size)
    distances = squared_distances(["w"], updates)
    rows = np.stack([one.arrays["w"] for one in updates], dtype=np.float64)
    expected = ((rows[:, None] - rows[None, :]) ** 2).sum(axis=-1)
    np.testing.assert_allclose(distances, expected, rtol=1e-12)
    assert (distances == distances.T).all()


def test_every_tensor_counts_in_a_distance():
    near, far = np.zeros(2, np.float32), np.full(2, 10, np.float32)
    updates = [
        update_of(client, {"a": near, "b": far if client == 1 else near}) for client in range(1, 6)
    ]
    parent = {"a": near, "b": near}
    assert squared_distances(parent, updates)[0, 1] == 200.0
    assert not combined(Krum(), parent, updates)["b"].any()


def test_a_manifest_in_which_it_protects_is_accepted():
    codecs = {"stages": ["rotate", "quantise"]}
    krum = {"kind": "krum", "byzantine": 3, "keep": 6}
    assert not refusal({"combine": krum, "encode": codecs}, updates=9)
    assert not refusal({"combine": {"kind": "krum", "byzantine": 0}}, updates=3)


def test_what_it_cannot_bear_is_refused():
    assert "at least 5" in refusal({"combine": "krum"}, updates=4)
    too_many = {"combine": {"kind": "krum", "keep": 9}}
    assert "only 8 of 9 updates are sure to be honest" in refusal(too_many, updates=9)
    assert "top_k" in refusal({"combine": "krum", "encode": ["top_k"]}, updates=9)
    assert "scaffold" in refusal({"combine": "krum", "train": "scaffold"}, updates=9)
