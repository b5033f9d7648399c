"""Rules and statistics: what is measured moves by a mean, and has no part in what happens to the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from combining import update_of
from hypothesis import given
from hypothesis import strategies as st

from fl_node.blobs.encoding import Update
from fl_node.blobs.global_state import first_state
from fl_node.blobs.model import encode_model
from fl_node.fields import Choice
from fl_node.strategy.combine import COMBINE, Krum, WeightedMean, weighted_mean
from fl_node.strategy.roles import Roles

ROLES = Roles(statistics=("*.running_var",), at_least_zero=("*.running_var",))
MODEL = {
    "net.weight": np.linspace(-1, 1, 5, dtype=np.float32),
    "net.running_var": np.ones(3, np.float32),
}
STATISTICS = ("net.running_var",)
KNOBS = [choice() for choice in COMBINE]
every_rule = pytest.mark.parametrize("knobs", KNOBS, ids=lambda knobs: knobs.kind)
like_the_mean = pytest.mark.parametrize(
    "knobs", [knobs for knobs in KNOBS if not knobs.robust], ids=lambda knobs: knobs.kind
)


def updates_of(seed: int, factor: float = 1.0) -> list[Update]:
    random = np.random.default_rng(seed)
    return [
        update_of(
            client,
            {
                "net.weight": random.standard_normal(5).astype(np.float32),
                "net.running_var": (factor * random.standard_normal(3)).astype(np.float32),
            },
            examples=10 * client,
            steps=3 + client,
        )
        for client in range(1, 6)
    ]


def two_rounds(knobs: Choice, updates: list[Update]) -> dict[str, Any]:
    rule = COMBINE[type(knobs)]
    state = first_state(MODEL, rule.slots, ROLES.only("weight", MODEL))
    for _ in range(2):
        state = rule.combine(knobs, state, updates, STATISTICS)
    return state


@every_rule
def test_the_server_keeps_nothing_for_a_statistic(knobs):
    state = two_rounds(knobs, updates_of(1))
    assert {name for name in state if "running_var" in name} == {"net.running_var"}


@like_the_mean
@given(st.integers(0, 2**32))
def test_a_statistic_moves_by_the_weighted_mean_byte_for_byte(knobs, seed):
    updates = updates_of(seed)
    expected = weighted_mean(WeightedMean(), MODEL, updates)
    expected = weighted_mean(WeightedMean(), expected, updates)
    result = two_rounds(knobs, updates)["net.running_var"]
    assert result.tobytes() == expected["net.running_var"].tobytes()


@every_rule
@given(st.integers(0, 2**32), st.sampled_from([0.0, 1e-6, 1e6, 1e30]))
def test_no_value_of_a_statistic_changes_what_happens_to_a_weight(knobs, seed, factor):
    one, other = (two_rounds(knobs, updates_of(seed, by)) for by in (1.0, factor))
    for state in (one, other):
        del state["net.running_var"]
    assert encode_model(one) == encode_model(other)


def test_krum_takes_the_statistics_of_the_update_that_it_chooses():
    """The third weight is in the middle; its statistics are far from the others'."""
    updates = [
        update_of(
            client,
            {
                "net.weight": np.full(5, weight, np.float32),
                "net.running_var": np.full(3, 100 if client == 3 else 0, np.float32),
            },
        )
        for client, weight in enumerate([0, 3, 4, 6, 100], 1)
    ]
    result = COMBINE[Krum].combine(Krum(), MODEL, updates, STATISTICS)
    assert result["net.running_var"].tolist() == [101, 101, 101]
