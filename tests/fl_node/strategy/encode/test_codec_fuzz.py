"""Payloads by anyone: BlobMalformed, UpdateInvalid, or arrays of exactly the schema; no other exception, no warning."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from codec_samples import STAGE_ALONE, chains, normal, seeds, tensors
from fuzzing.mutations import mutated
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_node.blobs.tensors import Spec, decode_tensors, encode_tensors, schema_of
from fl_node.errors import BlobMalformed, UpdateInvalid
from fl_node.strategy.encode import decode_arrays, encode_arrays
from fl_node.strategy.encode.quantise import Quantise
from fl_node.strategy.encode.top_k import TopK

pytestmark = pytest.mark.slow


def read(stages, sent, schema, seed):
    """The reader, of which nothing else may come."""
    try:
        arrays = decode_arrays(stages, sent, schema, seed)
    except (BlobMalformed, UpdateInvalid):
        return
    assert schema_of(arrays) == schema


@given(chains(), tensors(), seeds, st.integers(0, 255))
def test_one_byte_all_over(stages, array, seed, byte):
    """Among it NaN, infinities where 255 and 127 meet, no position and every position."""
    sent = {
        name: np.frombuffer(bytes([byte]) * one.nbytes, one.dtype).reshape(one.shape)
        for name, one in encode_arrays(stages, {"w": array}, seed).items()
    }
    read(stages, sent, schema_of({"w": array}), seed)


@given(chains(), tensors(), seeds, seeds)
def test_another_seed(stages, array, seed, other):
    read(stages, encode_arrays(stages, {"w": array}, seed), schema_of({"w": array}), other)


@given(chains(), chains(), tensors(), tensors(), seeds)
def test_another_chain_s_payload_for_another_tensor(stages, others, array, other, seed):
    read(stages, encode_arrays(others, {"w": other}, seed), schema_of({"w": array}), seed)


@settings(max_examples=300)
@given(chains(), tensors(), seeds, st.randoms(use_true_random=False))
def test_changed_blobs(stages, array, seed, random):
    """Any chain, over the changes that scripts/fuzz.py makes to a few of them."""
    blob = mutated(random, [encode_tensors(encode_arrays(stages, {"w": array}, seed))])
    try:
        sent, _ = decode_tensors(blob)
    except BlobMalformed:
        return
    read(stages, sent, schema_of({"w": array}), seed)


CHANGES = {
    "truncated": lambda array: array.reshape(-1)[:-1],
    "inflated": lambda array: np.append(array, array),
    "in another shape": lambda array: array.reshape(1, -1, 1),
    "in another dtype": lambda array: array.astype(np.float64),
    "missing": None,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("kind", STAGE_ALONE)
def test_arrays_that_were_not_laid_out_are_malformed(kind, change):
    stages, update = [STAGE_ALONE[kind]], {"w": normal(30, 30)}
    sent = encode_arrays(stages, update, 1)
    for name in sent:
        others = {other: array for other, array in sent.items() if other != name}
        changed = others if change is None else others | {name: change(sent[name])}
        with pytest.raises(UpdateInvalid, match=f"tensors: expected '{name}'"):
            decode_arrays(stages, changed, schema_of(update), 1)


@pytest.mark.parametrize("kind", STAGE_ALONE)
def test_an_array_more_is_malformed(kind):
    stages, update = [STAGE_ALONE[kind]], {"w": normal(30, 30)}
    sent = encode_arrays(stages, update, 1) | {"more": np.zeros(1, np.float32)}
    with pytest.raises(UpdateInvalid, match="tensors: expected 'more': None"):
        decode_arrays(stages, sent, schema_of(update), 1)


def test_a_refusal_says_what_was_expected_and_what_came():
    with pytest.raises(UpdateInvalid, match=r"expected 'w': .*\(3,\).*float32.*, got .*\(4,\)"):
        decode_arrays(
            [], {"w": np.zeros(4, np.float32)}, {"w": Spec((3,), np.dtype(np.float32))}, 1
        )


COMB = {"w": np.where(np.arange(2500) % 256 == 7, np.float32(1), np.float32(0))}


class TestPositions:
    """Ten elements of 2,500: a low byte for each, then bits 0 to 18, of which ten are set, and five unused ones."""

    STAGES = (TopK(fraction=Decimal("0.004")),)

    def verdict(self, change):
        sent = encode_arrays(self.STAGES, COMB, 1)
        indices = sent["w/top_k.indices"].copy()
        assert (len(indices), len(sent["w"])) == (13, 10)
        change(indices)
        changed = sent | {"w/top_k.indices": indices}
        return decode_arrays(self.STAGES, changed, schema_of(COMB), 1)["w"]

    def test_unchanged_are_read(self):
        assert np.array_equal(self.verdict(lambda indices: None), COMB["w"])

    def test_in_ascending_order_are_read(self):
        def change(indices):
            indices[3] = 200

        assert np.flatnonzero(self.verdict(change))[3] == 3 * 256 + 200

    def test_too_few_are_malformed(self):
        def change(indices):
            indices[10] &= indices[10] - 1

        with pytest.raises(BlobMalformed, match="expected 10 positions, got 9"):
            self.verdict(change)

    def test_too_many_are_malformed(self):
        def change(indices):
            indices[10:] = 255

        with pytest.raises(BlobMalformed, match="expected 10 positions, got 24"):
            self.verdict(change)

    def test_past_the_end_are_malformed(self):
        def change(indices):
            indices[10:] = [0, 0b11100000, 0b01111111]

        with pytest.raises(BlobMalformed, match="past the end"):
            self.verdict(change)

    @pytest.mark.parametrize("low", [[7, 7], [8, 7]], ids=["equal", "descending"])
    def test_that_do_not_ascend_are_malformed(self, low):
        def change(indices):
            # Two positions with the same high part, of the last ten bits that may be set.
            indices[10:] = [0, 0b11111110, 0b00000111]
            indices[:10] = np.arange(100, 110)
            indices[:2] = low

        with pytest.raises(BlobMalformed, match="ascend strictly and be below 2500"):
            self.verdict(change)

    def test_past_the_tensor_s_end_are_malformed(self):
        def change(indices):
            indices[9] = 2500 - 9 * 256

        with pytest.raises(BlobMalformed, match="ascend strictly and be below 2500"):
            self.verdict(change)


class TestLevels:
    @pytest.mark.parametrize(("bits", "highest"), [(2, 3), (4, 15), (8, 255)])
    def test_above_the_norm_are_malformed(self, bits, highest):
        stages, update = [Quantise(bits=bits, spread="norm")], {"w": normal(8)}
        sent = encode_arrays(stages, update, 1)
        packed = sent["w"].copy()
        packed[-1] |= highest << 8 - bits
        with pytest.raises(BlobMalformed, match="above the highest"):
            decode_arrays(stages, sent | {"w": packed}, schema_of(update), 1)

    @pytest.mark.parametrize("bits", [1, 2, 4])
    def test_have_one_spelling_unused_bits_are_zero(self, bits):
        stages, update = [Quantise(bits=bits)], {"w": normal(9)}
        sent = encode_arrays(stages, update, 1)
        packed = sent["w"].copy()
        packed[-1] |= 0x80
        with pytest.raises(BlobMalformed, match="unused bits"):
            decode_arrays(stages, sent | {"w": packed}, schema_of(update), 1)

    @pytest.mark.parametrize("scale", [np.nan, np.inf, -np.inf, 3e38, -1, 1e-45])
    @pytest.mark.parametrize("spread", ["range", "norm"])
    def test_of_an_absurd_scale_arrive_and_warn_nobody(self, spread, scale):
        stages, update = [Quantise(bits=8, spread=spread)], {"w": normal(300)}
        sent = encode_arrays(stages, update, 1)
        absurd = {name: np.full_like(array, scale) for name, array in sent.items() if name != "w"}
        assert decode_arrays(stages, sent | absurd, schema_of(update), 1)["w"].shape == (300,)
