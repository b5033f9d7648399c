"""What goes into an update and what is kept: nothing that a codec lost is lost for ever."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_node.blobs.tensors import schema_of
from fl_node.strategy.encode import decode_arrays
from fl_node.strategy.encode.esgd import Esgd
from fl_node.strategy.encode.feedback import CREDIT, RESIDUAL, encode_with_feedback
from fl_node.strategy.encode.quantise import Quantise
from fl_node.strategy.encode.top_k import TopK
from fl_node.strategy.strategy import Encode

QUARTER = TopK(fraction=Decimal("0.25"))
Arrays = dict[str, np.ndarray[Any, Any]]


def drawn(seed: int) -> Arrays:
    random = np.random.default_rng(seed)
    return {
        "w": random.standard_normal((4, 6)).astype(np.float32),
        "b": random.standard_normal(3).astype(np.float32),
    }


def decoded(encode: Encode, arrays: Any, seed: int) -> Arrays:
    return decode_arrays(encode.stages, arrays, schema_of(drawn(0)), seed)


def test_without_codecs_the_difference_travels_as_it_is():
    sent = encode_with_feedback(Encode(), drawn(1), {}, {}, 5, 0)
    assert all(sent.arrays[name] is array for name, array in drawn(1).items()) or all(
        np.array_equal(sent.arrays[name], array) for name, array in drawn(1).items()
    )
    assert sent.kept == {}


def test_without_feedback_nothing_is_kept():
    assert encode_with_feedback(Encode(stages=(QUARTER,)), drawn(1), {}, {}, 5, 0).kept == {}


@given(st.integers(0, 2**32), st.sampled_from([(QUARTER,), (QUARTER, Quantise())]))
def test_sent_and_residual_are_what_was_accumulated(seed, stages):
    encode = Encode(stages=stages, feedback=Decimal(1))
    first = encode_with_feedback(encode, drawn(seed), {}, {}, 5, 0)
    second = encode_with_feedback(encode, drawn(seed + 1), {}, first.kept, 6, 0)
    back = decoded(encode, second.arrays, 6)
    for name, array in drawn(seed + 1).items():
        accumulated = array + first.kept[RESIDUAL + name]
        total = back[name] + second.kept[RESIDUAL + name]
        assert np.allclose(total, accumulated, rtol=1e-6, atol=1e-6)


def test_everything_arrives_in_the_end():
    """A constant difference, of which a quarter is sent each time: what is sent catches up with what was made."""
    encode = Encode(stages=(QUARTER,), feedback=Decimal(1))
    kept, total, step = {}, np.zeros((4, 6), np.float32), drawn(3)
    for round in range(200):
        sent = encode_with_feedback(encode, step, {}, kept, round, 0)
        kept, total = sent.kept, total + decoded(encode, sent.arrays, round)["w"]
    assert np.abs(total / 200 - step["w"]).max() < 0.1


def test_a_member_that_sat_out_sends_its_old_residual_with_its_next_difference():
    """With partial participation the residual grows stale: it is neither lost nor sent twice."""
    encode = Encode(stages=(QUARTER,), feedback=Decimal(1))
    kept = encode_with_feedback(encode, drawn(1), {}, {}, 1, 0).kept
    after_a_pause = encode_with_feedback(
        encode, {n: np.zeros_like(a) for n, a in drawn(1).items()}, {}, kept, 9, 0
    )
    back = decoded(encode, after_a_pause.arrays, 9)
    for name in back:
        stale = kept[RESIDUAL + name]
        assert np.array_equal(back[name] + after_a_pause.kept[RESIDUAL + name], stale)


def test_a_discount_lets_the_residual_fade():
    whole = encode_with_feedback(
        Encode(stages=(QUARTER,), feedback=Decimal(1)), drawn(1), {}, {}, 5, 0
    ).kept
    half = encode_with_feedback(
        Encode(stages=(QUARTER,), feedback=Decimal("0.5")), drawn(1), {}, {}, 5, 0
    ).kept
    assert all(np.array_equal(half[name], array * np.float32(0.5)) for name, array in whole.items())


def test_what_is_sent_beside_the_difference_has_no_feedback():
    """Its algorithm learns what was decoded, and sends what is missing itself."""
    encode = Encode(stages=(QUARTER,), feedback=Decimal(1))
    beside = {f"control.{name}": array for name, array in drawn(2).items()}

    first = encode_with_feedback(encode, drawn(1), beside, {}, 5, 0)
    second = encode_with_feedback(encode, drawn(1), beside, first.kept, 5, 0)

    assert first.kept.keys() == {RESIDUAL + name for name in drawn(1)}
    everybodys = decode_arrays(encode.stages, first.arrays, schema_of(drawn(1) | beside), 5)
    for name, array in beside.items():
        assert np.array_equal(everybodys[name], first.sent[name])
        assert np.array_equal(first.sent[name], second.sent[name])
        assert not np.array_equal(first.sent[name], array)


class TestEsgd:
    encode = Encode(stages=(Esgd(fraction=Decimal("0.25")),), feedback=Decimal("0.9"))

    def test_what_was_sent_while_the_loss_fell_earns_credit(self):
        sent = encode_with_feedback(self.encode, drawn(1), {}, {}, 5, 100)
        there = decoded(self.encode, sent.arrays, 5)
        assert all(np.array_equal(sent.kept[CREDIT + name], there[name] != 0) for name in there)

    def test_when_the_loss_rises_what_earned_credit_is_sent_again(self):
        first = encode_with_feedback(self.encode, drawn(1), {}, {}, 5, 100)
        second = encode_with_feedback(self.encode, drawn(2), {}, first.kept, 6, 200)
        chosen = [decoded(self.encode, sent.arrays, 5)["w"] != 0 for sent in (first, second)]
        assert np.array_equal(*chosen)
        assert np.array_equal(second.kept[CREDIT + "w"], first.kept[CREDIT + "w"])

    def test_when_the_loss_falls_the_largest_are_sent(self):
        first = encode_with_feedback(self.encode, drawn(1), {}, {}, 5, 100)
        second = encode_with_feedback(self.encode, drawn(2), {}, first.kept, 6, 50)
        largest = np.abs(drawn(2)["w"] + first.kept[RESIDUAL + "w"])
        sent = decoded(self.encode, second.arrays, 6)["w"]
        assert np.abs(sent[sent != 0]).min() >= np.sort(largest.reshape(-1))[-6:].min()
        assert second.kept[CREDIT + "w"].max() == 2


@pytest.mark.parametrize("feedback", [Decimal(0), Decimal(1)])
def test_the_difference_itself_is_left_alone(feedback):
    given = drawn(4)
    encode_with_feedback(Encode(stages=(QUARTER,), feedback=feedback), given, {}, {}, 5, 0)
    assert all(np.array_equal(given[name], array) for name, array in drawn(4).items())
