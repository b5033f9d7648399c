"""CMFL's gate: what relevance is, who sends, and that a gate never closes for ever."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from doubles import refusal
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fl_node.arrays import Arrays
from fl_node.strategy.send import Always, Relevance, relevance, worth_sending

vectors = arrays(np.float32, 6, elements=st.floats(-10, 10, width=32))
FORWARD: Arrays = {"a": np.ones(3, np.float32), "b": np.ones((1, 5), np.float32)}


def with_against(count: int) -> dict[str, Any]:
    """An update of eight coordinates, of which so many point against `FORWARD`."""
    signs = np.ones(8, np.float32)
    signs[:count] = -0.5
    return {"a": signs[:3], "b": signs[3:].reshape(1, 5)}


@given(vectors)
def test_an_update_is_as_relevant_to_itself_as_can_be(u: Any) -> None:
    assert relevance({"u": u}, {"u": u}) == 1


@given(vectors)
def test_the_opposite_agrees_only_in_its_zeros(u: Any) -> None:
    assert relevance({"u": -u}, {"u": u}) == np.count_nonzero(u == 0) / 6


@given(vectors, vectors, st.floats(0.125, 100))
def test_it_is_symmetric_and_blind_to_scale(u: Any, v: Any, scale: float) -> None:
    one, other = {"u": u}, {"u": v}

    assert relevance(one, other) == relevance(other, one)
    assert relevance({"u": u.astype(np.float64) * scale}, other) == relevance(one, other)


@pytest.mark.parametrize("against", range(9))
def test_it_is_the_share_of_equal_signs_over_all_tensors(against: int) -> None:
    assert relevance(with_against(against), FORWARD) == (8 - against) / 8


@pytest.mark.parametrize(("against", "sent"), [(0, True), (2, True), (3, False), (8, False)])
def test_an_update_is_sent_from_the_threshold_on(against: int, sent: bool) -> None:
    choice = Relevance(threshold="0.75")

    assert worth_sending(choice, with_against(against), FORWARD, round=100) is sent


@pytest.mark.parametrize(("round", "sent"), [(1, False), (3, False), (4, True), (5, True)])
def test_a_threshold_that_decays_opens_the_gate_in_time(round: int, sent: bool) -> None:
    choice = Relevance(threshold="1", decay="sqrt")

    assert worth_sending(choice, with_against(4), FORWARD, round) is sent


def test_the_first_update_is_always_sent() -> None:
    assert worth_sending(Relevance(threshold="1"), with_against(8), None, round=1)


def test_after_a_model_that_stood_still_everyone_sends() -> None:
    still = {name: np.zeros_like(array) for name, array in FORWARD.items()}

    assert worth_sending(Relevance(threshold="1"), with_against(8), still, round=7)


def test_always_sends_whatever_it_is() -> None:
    assert worth_sending(Always(), with_against(8), FORWARD, round=7)


def test_it_needs_rounds_that_one_update_is_enough_for() -> None:
    assert "min_updates = 2" in refusal({"send": "relevance"}, updates=2)
    assert not refusal({"send": "relevance"}, updates=1)
