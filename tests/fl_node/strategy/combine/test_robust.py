"""Median and trimmed mean: what the bad members send, the honest ones decide."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from combining import moved, random_updates, update
from doubles import refusal
from hypothesis import given
from hypothesis import strategies as st

from fl_node.strategy.combine import Median, TrimmedMean

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
RULES = [Median(), TrimmedMean()]
rules = pytest.mark.parametrize("knobs", RULES, ids=lambda knobs: knobs.kind)


def borne(knobs, count):
    """How many bad members of so many the rule says it bears."""
    return (count - 1) // 2 if isinstance(knobs, Median) else int(knobs.share * count)


@rules
@given(st.data(), st.integers(3, 11))
def test_each_coordinate_stays_within_what_honest_members_sent(knobs, data, count):
    bad = data.draw(st.sets(st.integers(1, count), max_size=borne(knobs, count)))
    values = data.draw(st.lists(FLOATS, min_size=count, max_size=count))
    honest = [value for client, value in enumerate(values, 1) if client not in bad]
    updates = [update(client, [value], 1) for client, value in enumerate(values, 1)]
    assert min(honest) <= moved(knobs, [0.0], *updates)[0] <= max(honest)


@rules
@given(st.data(), st.integers(3, 20))
def test_bad_members_who_send_invalid_updates_gain_nothing(knobs, data, count):
    invalid = data.draw(st.integers(0, borne(knobs, count)))
    bad = borne(knobs, count) - invalid
    updates = [
        update(client, [1e6 if client <= bad else 1.0]) for client in range(1, count - invalid + 1)
    ]
    assert moved(knobs, [0.0], *updates) == [1.0]


@pytest.mark.parametrize(
    ("knobs", "count", "bad"), [(Median(), 5, 3), (Median(), 4, 2), (TrimmedMean(), 5, 2)]
)
def test_one_bad_member_more_and_they_decide(knobs, count, bad):
    updates = [update(client, [1e30 if client <= bad else 1.0]) for client in range(1, count + 1)]
    assert moved(knobs, [0.0], *updates)[0] > 1e28


@rules
@given(st.integers(0, 2**32), st.integers(1, 9), st.randoms())
def test_who_sent_what_changes_no_byte(knobs, seed, count, random):
    values = [one.arrays["w"] for one in random_updates(seed, count, 30)]
    shuffled = random.sample(values, count)
    one, other = (
        moved(knobs, np.ones(30), *(update(client, value) for client, value in enumerate(each, 1)))
        for each in (values, shuffled)
    )
    assert one.tobytes() == other.tobytes()


@rules
def test_the_sign_of_a_zero_hangs_on_nobody(knobs):
    """-0 and +0 are equal, so that a sort may put either in the middle."""
    for zeros in ([0.0, -0.0, 0.0], [-0.0, -0.0, 0.0], [-0.0, -0.0, -0.0]):
        updates = [update(client, [zero]) for client, zero in enumerate(zeros, 1)]
        assert not np.signbit(moved(knobs, [-0.0], *updates))


@rules
def test_claiming_many_examples_gains_nothing(knobs):
    updates = [update(1, [1.0]), update(2, [2.0]), update(3, [6.0], examples=10**9)]
    assert moved(knobs, [0.0], *updates)[0] <= 3.0


@given(st.integers(0, 2**32), st.integers(1, 9))
def test_the_median_is_the_median(seed, count):
    updates = random_updates(seed, count, 20)
    expected = np.median([one.arrays["w"].astype(np.float64) for one in updates], axis=0)
    assert moved(Median(), np.zeros(20), *updates).tolist() == expected.astype(np.float32).tolist()


def test_the_trimmed_mean_cuts_its_share_off_both_ends():
    updates = [update(client, [value]) for client, value in enumerate([99, 1, 2, 6, -99], 1)]
    assert moved(TrimmedMean(share=Decimal("0.2")), [0.0], *updates) == [3.0]
    assert moved(TrimmedMean(share=Decimal("0.4")), [0.0], *updates) == [2.0]
    assert moved(TrimmedMean(share=Decimal("0.19")), [0.0], *updates) == [np.float32(9 / 5)]


@given(st.decimals("0.0001", "0.4999", places=4), st.integers(1, 96))
def test_trimming_always_leaves_somebody(share, count):
    updates = [update(client, [3.0]) for client in range(1, count + 1)]
    assert moved(TrimmedMean(share=share), [0.0], *updates) == [3.0]


@rules
def test_a_manifest_in_which_it_protects_is_accepted(knobs):
    codecs = {"stages": ["rotate", "quantise"]}
    assert not refusal({"combine": knobs.kind, "encode": codecs}, updates=5)


def test_rounds_too_small_to_protect_anybody_are_refused():
    assert "at least 3, not 2" in refusal({"combine": "median"}, updates=2)
    assert "at least 5, not 4" in refusal({"combine": "trimmed_mean"}, updates=4)
    little = {"combine": {"kind": "trimmed_mean", "share": "0.03"}}
    assert "at least 34, not 33" in refusal(little, updates=33)
    assert not refusal(little, updates=34)


@rules
@pytest.mark.parametrize("codec", ["top_k", "subsample", "esgd"])
def test_sparse_updates_are_refused_because_zeros_would_win(knobs, codec):
    assert codec in refusal({"combine": knobs.kind, "encode": [codec]}, updates=9)
    sparse = [update(client, np.eye(5)[client - 1]) for client in range(1, 6)]
    assert not moved(Median(), np.zeros(5), *sparse).any()


@rules
def test_scaffold_is_refused_because_its_variates_are_averaged(knobs):
    reason = f"{knobs.kind} cannot prevent it"
    assert reason in refusal({"combine": knobs.kind, "train": "scaffold"}, updates=9)
