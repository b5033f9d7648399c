"""What each stage promises about the update that arrives."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from codec_samples import chains, fractions, normal, quantisers, seeds, squared, tensors
from doubles import refusal
from hypothesis import assume, given
from hypothesis import strategies as st

from fl_node.blobs.tensors import schema_of
from fl_node.errors import Misuse
from fl_node.strategy.encode import chain_variance, decode_arrays, encode_arrays
from fl_node.strategy.encode.esgd import Esgd
from fl_node.strategy.encode.low_rank import LowRank
from fl_node.strategy.encode.quantise import Quantise
from fl_node.strategy.encode.rotate import ABREAST, Rotate
from fl_node.strategy.encode.sparse import count_of
from fl_node.strategy.encode.subsample import Subsample
from fl_node.strategy.encode.top_k import TopK

UPDATES = {
    "normal": normal(600),
    "heavy-tailed": np.random.default_rng(1).standard_t(3, 600).astype(np.float32),
    "equal": np.full(600, 0.25, np.float32),
    "one in all": np.eye(1, 600, 17, dtype=np.float32)[0],
}
ROUNDS = 200
UNBIASED = [
    [Subsample(one_in=7)],
    [Quantise(bits=1)],
    [Quantise(bits=4, bucket=64)],
    [Quantise(bits=2, spread="norm")],
    [Quantise(bits=8, spread="norm")],
    [Rotate(), Quantise(bits=2)],
    [Subsample(one_in=4), Rotate(), Quantise(bits=4, spread="norm")],
    [Subsample(one_in=4), Rotate(), Quantise(bits=2)],
]


def label(stages):
    return "+".join(stage.kind for stage in stages)


def arrived(stages, array, seed=0, credit=None):
    """What the reader gets of one tensor."""
    update = {"w": array}
    credits = None if credit is None else {"w": credit}
    sent = encode_arrays(stages, update, seed, credits)
    return decode_arrays(stages, sent, schema_of(update), seed)["w"]


def arrivals(stages, array):
    return np.stack([arrived(stages, array, seed).astype(np.float64) for seed in range(ROUNDS)])


class TestUnbiased:
    @pytest.mark.parametrize("update", UPDATES.values(), ids=UPDATES)
    @pytest.mark.parametrize("stages", UNBIASED, ids=label)
    def test_the_mean_over_seeds_is_the_update_within_4_sigma(self, stages, update):
        errors = arrivals(stages, update) - update
        along = np.stack([np.ones(600), np.tile([1, -1], 300), update, np.eye(1, 600, 17)[0]])
        seen = errors @ along.T
        sigma = seen.std(axis=0) / np.sqrt(ROUNDS)
        assert np.all(np.abs(seen.mean(axis=0)) <= 4 * sigma + 1e-5 * np.sqrt(squared(update)))

    @pytest.mark.parametrize("update", UPDATES.values(), ids=UPDATES)
    @pytest.mark.parametrize("stages", UNBIASED, ids=label)
    def test_the_variance_of_a_chain_stays_within_its_bound(self, stages, update):
        errors = arrivals(stages, update) - update
        variance = np.square(errors).sum(axis=1).mean()
        assert variance <= chain_variance(stages) * squared(update) * 1.1 + 1e-9


def test_a_rotation_tightens_the_bound_of_a_quantiser_with_a_range():
    alone, rotated = (
        chain_variance([Quantise(bits=2)]),
        chain_variance([Rotate(), Quantise(bits=2)]),
    )
    assert (alone, rotated) == (256 / 18, pytest.approx((2 * np.log(256) + 2) / 9))


@pytest.mark.parametrize("stage", [TopK(), Esgd(), LowRank(), Rotate()], ids=lambda one: one.kind)
def test_what_leaves_no_chance_has_no_variance(stage):
    assert chain_variance([stage]) == 0


class TestQuantise:
    @pytest.mark.parametrize("update", UPDATES.values(), ids=UPDATES)
    @pytest.mark.parametrize("bits", [2, 4, 8])
    @pytest.mark.parametrize("spread", ["range", "norm"])
    def test_the_variance_stays_within_the_paper_s_bound(self, spread, bits, update):
        knobs = Quantise(bits=bits, spread=spread, bucket=600)
        errors = arrivals([knobs], update) - update
        variance = np.square(errors).sum(axis=1).mean()
        assert variance <= knobs.variance_bound * squared(update)

    def test_qsgd_s_bound_is_that_of_its_lemma_3_1(self):
        assert Quantise(bits=4, spread="norm", bucket=64).variance_bound == 8 / 7
        assert Quantise(bits=8, spread="norm", bucket=512).variance_bound == 512 / 127**2

    @given(tensors(), st.sampled_from([1, 2, 4, 8]), st.sampled_from([8, 256]), seeds)
    def test_a_range_puts_no_element_further_off_than_one_level(self, array, bits, bucket, seed):
        knobs = Quantise(bits=bits, bucket=bucket)
        error = np.abs(arrived([knobs], array, seed) - array).reshape(-1)
        for start in range(0, array.size, bucket):
            part = array.reshape(-1)[start : start + bucket].astype(np.float64)
            level = (part.max() - part.min()) / knobs.levels
            assert error[start : start + bucket].max() <= level + 1e-6 * np.abs(part).max()

    def test_no_chance_lifts_the_largest_element_above_the_highest_level(self):
        """Where rounding makes it 255.00002 levels high, and one chance in 65,536 would make it 256."""
        high = next(x for x in normal(100) if x > 0 and x / (x / np.float32(255)) > 255)
        array = np.full(1 << 20, high, np.float32)
        array[::256] = 0
        assert np.abs(arrived([Quantise(bits=8)], array) - array).max() < high / 200

    @given(tensors(), seeds)
    def test_norm_sends_zeros_as_zeros_and_keeps_signs(self, array, seed):
        back = arrived([Quantise(bits=4, spread="norm")], array, seed)
        assert np.all(back * array >= 0)
        assert not np.any(back[array == 0])

    @given(quantisers, st.floats(-1000, 1000, width=32), st.integers(1, 600), seeds)
    def test_a_bucket_of_equals_in_a_range_arrives_as_it_is(self, knobs, value, size, seed):
        assume(knobs.spread == "range")
        array = np.full(size, value, np.float32)
        assert np.array_equal(arrived([knobs], array, seed), array)

    def test_small_elements_keep_their_precision_beside_a_large_one_elsewhere(self):
        array = normal(2048)
        array[5] = 1e6
        error = arrived([Quantise(bits=8)], array) - array
        assert np.abs(error[256:]).max() < 0.1 < np.abs(error[:256]).max()

    def test_what_overflows_arrives_somehow_and_warns_nobody(self):
        array = np.array([3e38, -3e38, 1], np.float32)
        assert arrived([Quantise(bits=8, spread="norm")], array).shape == (3,)
        assert arrived([Rotate(), Quantise(bits=8)], array).shape == (3,)

    @pytest.mark.parametrize(
        ("knobs", "feedback", "refused"),
        [
            (Quantise(bits=4), 1, False),
            (Quantise(bits=2), 1, True),
            (Quantise(bits=2), 0, False),
            (Quantise(bits=2), "0.1", False),
            (Quantise(bits=2, bucket=16), 1, False),
            (Quantise(bits=4, spread="norm"), 1, True),
            (Quantise(bits=8, spread="norm"), 1, False),
        ],
    )
    def test_feedback_needs_an_error_smaller_than_the_update(self, knobs, feedback, refused):
        encode = {"stages": [knobs.model_dump()], "feedback": feedback}
        assert ("it can grow" in refusal({"encode": encode})) == refused


class TestRotate:
    @given(tensors(), st.sampled_from([2, 64, 1024]), seeds)
    def test_the_inverse_is_exact_to_1e_6_of_the_norm(self, array, block, seed):
        error = arrived([Rotate(block=block)], array, seed).astype(np.float64) - array
        assert squared(error) <= 1e-12 * squared(array)

    @given(tensors(), st.sampled_from([2, 64, 1024]), seeds)
    def test_the_norm_stays(self, array, block, seed):
        sent = encode_arrays([Rotate(block=block)], {"w": array}, seed)["w"]
        assert squared(sent) == pytest.approx(squared(array), rel=1e-5)

    @pytest.mark.parametrize("size", [16 * ABREAST + 1, 40 * ABREAST + 31, 3 * 16 * ABREAST])
    def test_more_blocks_than_go_abreast_come_back_too(self, size):
        array = normal(size)
        assert arrived([Rotate(block=16)], array) == pytest.approx(array, abs=1e-5)

    def test_is_a_walsh_hadamard_matrix_times_signs(self):
        columns = [
            encode_arrays([Rotate(block=8)], {"w": unit}, 3)["w"] * np.sqrt(8)
            for unit in np.eye(8, dtype=np.float32)
        ]
        matrix = np.rint(np.stack(columns, axis=1))
        walsh = np.array([[(-1) ** (i & j).bit_count() for j in range(8)] for i in range(8)])
        signs = matrix[0]
        assert np.array_equal(matrix, walsh * signs)
        assert set(signs) == {1, -1}

    def test_spreads_one_element_evenly_over_its_block(self):
        sent = encode_arrays([Rotate(block=256)], {"w": UPDATES["one in all"][:256]}, 3)["w"]
        assert np.array_equal(np.abs(sent), np.full(256, 1 / 16, np.float32))

    def test_makes_a_quantiser_s_error_on_heavy_tails_smaller(self):
        array = np.random.default_rng(1).standard_t(3, 20_000).astype(np.float32)
        plain, rotated = (
            squared(arrived([*first, Quantise(bits=4)], array) - array)
            for first in ([], [Rotate()])
        )
        assert rotated < plain / 2


class TestSubsample:
    @given(tensors(), st.integers(2, 9), seeds)
    def test_one_of_each_run_arrives_scaled_by_the_run_s_length(self, array, one_in, seed):
        flat = array.reshape(-1)
        back = arrived([Subsample(one_in=one_in)], array, seed).reshape(-1)
        for start in range(0, flat.size, one_in):
            sent, run = back[start : start + one_in], flat[start : start + one_in]
            assert np.count_nonzero(sent) <= 1
            assert any(
                np.array_equal(sent, picked) for picked in np.diag(run) * np.float32(len(run))
            )

    def test_every_place_of_a_run_has_its_turn(self):
        seen = arrivals([Subsample(one_in=4)], np.ones(10, np.float32))
        assert np.all(np.abs((seen > 0).mean(axis=0) - ([0.25] * 8 + [0.5] * 2)) < 0.12)

    @given(tensors(), st.integers(2, 9), seeds)
    def test_unscaled_what_arrives_and_what_is_left_are_the_update(self, array, one_in, seed):
        back = arrived([Subsample(one_in=one_in, scaled=False)], array, seed)
        assert np.all((back == array) | (back == 0))

    @pytest.mark.parametrize(
        ("scaled", "feedback", "words"),
        [
            (True, 0, None),
            (False, 1, None),
            (True, 1, "scaled = false"),
            (False, 0, "scaled = true"),
        ],
    )
    def test_is_scaled_without_feedback_and_only_then(self, scaled, feedback, words):
        stage = {"kind": "subsample", "scaled": scaled}
        reason = refusal({"encode": {"stages": [stage], "feedback": feedback}})
        assert words in reason if words else not reason


class TestTopK:
    @given(tensors(), fractions)
    def test_the_k_largest_arrive_as_they_are(self, array, fraction):
        count = count_of(fraction, array.size)
        sizes = np.abs(array).reshape(-1)
        kept = sorted(
            np.argsort(-sizes, kind="stable")[:count]
        )  # stable: the lowest of equals first
        expected = np.zeros(array.size, np.float32)
        expected[kept] = array.reshape(-1)[kept]
        assert np.array_equal(arrived([TopK(fraction=fraction)], array).reshape(-1), expected)

    @given(tensors(), fractions)
    def test_it_is_a_contraction(self, array, fraction):
        lost = squared(array - arrived([TopK(fraction=fraction)], array))
        share = count_of(fraction, array.size) / array.size
        assert lost <= (1 - share) * squared(array) * (1 + 1e-9)

    @given(tensors(), fractions)
    def test_what_was_sent_and_what_is_left_are_what_was_accumulated(self, array, fraction):
        sent = arrived([TopK(fraction=fraction)], array)
        assert np.array_equal(sent + (array - sent), array)

    def test_with_feedback_everything_is_sent_in_the_end(self):
        update = residual = normal(10, 10)
        received = np.zeros_like(update)
        for _ in range(10):
            sent = arrived([TopK(fraction=Decimal("0.1"))], residual)
            residual, received = residual - sent, received + sent
        assert np.array_equal(received, update)

    @pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 65_537, 200_000])
    @pytest.mark.parametrize("fraction", ["0.00001", "0.001", "0.1", "1"])
    def test_positions_arrive_whatever_their_width(self, size, fraction):
        array = normal(size)
        count = count_of(Decimal(fraction), size)
        back = arrived([TopK(fraction=fraction)], array)
        assert np.count_nonzero(back) == count
        assert np.all((back == array) | (back == 0))
        assert np.abs(back).max() == np.abs(array).max()


class TestEsgd:
    @given(tensors(), fractions)
    def test_without_credit_the_largest_are_sent(self, array, fraction):
        others = arrived([TopK(fraction=fraction)], array)
        assert np.array_equal(arrived([Esgd(fraction=fraction)], array), others)

    @given(tensors(), fractions, st.integers(0, 9))
    def test_the_most_credited_are_sent_and_of_those_the_largest(self, array, fraction, seed):
        credit = np.random.default_rng(seed).integers(0, 4, array.shape).astype(np.float32)
        count = count_of(fraction, array.size)
        order = np.lexsort((np.arange(array.size), -np.abs(array).reshape(-1), -credit.reshape(-1)))
        expected = np.zeros(array.size, np.float32)
        expected[order[:count]] = array.reshape(-1)[order[:count]]
        back = arrived([Esgd(fraction=fraction)], array, credit=credit)
        assert np.array_equal(back.reshape(-1), expected)

    def test_credit_of_another_shape_is_misuse(self):
        with pytest.raises(Misuse, match=r"\(3,\).*\(4,\)"):
            arrived([Esgd()], np.ones(4, np.float32), credit=np.ones(3, np.float32))


class TestLowRank:
    def test_a_matrix_in_the_seed_s_span_arrives_as_it_is(self):
        knobs = LowRank(rank=3)
        once = arrived([knobs], normal(20, 30))
        assert arrived([knobs], once) == pytest.approx(once, abs=1e-5)

    @given(tensors(), st.integers(1, 4), seeds)
    def test_never_loses_more_than_there_was(self, array, rank, seed):
        assert squared(array - arrived([LowRank(rank=rank)], array, seed)) <= squared(array) * (
            1 + 1e-4
        )

    def test_keeps_rank_of_the_rows_on_average_which_is_its_bias(self):
        array = normal(24, 50)
        kept = arrivals([LowRank(rank=6)], array).mean(axis=0)
        assert np.vdot(kept, array) / squared(array) == pytest.approx(6 / 24, rel=0.05)

    @pytest.mark.parametrize("shape", [(), (1,), (40,), (4, 10)])
    def test_what_it_would_not_shrink_travels_as_it_is(self, shape):
        array = normal(*shape)
        assert np.array_equal(arrived([LowRank(rank=4)], array), array)

    def test_signs_that_repeat_a_column_do_no_harm(self):
        array = normal(5, 6)
        worst = max(np.abs(arrived([LowRank(rank=4)], array, seed)).max() for seed in range(200))
        assert worst < 10


@given(chains(), seeds, st.sampled_from([(), (1,), (1, 1), (3, 1)]))
def test_zeros_arrive_as_zeros_through_every_chain(stages, seed, shape):
    assert not np.any(arrived(stages, np.zeros(shape, np.float32), seed))
