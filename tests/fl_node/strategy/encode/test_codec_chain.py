"""Chains: one schema for one model, the same bytes for one seed, and objections to what does not compose."""

from __future__ import annotations

import hashlib
import tracemalloc
from decimal import Decimal

import numpy as np
import pytest
from codec_samples import STAGE_ALONE, Stages, chains, normal, seeds, tensors
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_node.blobs.tensors import Spec, decode_tensors, encode_tensors, schema_of, size_of
from fl_node.errors import Misuse
from fl_node.strategy.encode import (
    STAGES,
    chain_objection,
    decode_arrays,
    encode_arrays,
    encoded_schema,
)
from fl_node.strategy.encode.esgd import Esgd
from fl_node.strategy.encode.low_rank import LowRank
from fl_node.strategy.encode.quantise import Quantise
from fl_node.strategy.encode.rotate import Rotate
from fl_node.strategy.encode.subsample import Subsample
from fl_node.strategy.encode.top_k import TopK

FLOAT32 = np.dtype(np.float32)
MODEL = {
    "conv.weight": normal(12, 8, 5, 5, seed=1),
    "conv.bias": normal(12, seed=2),
    "scale": normal(seed=3),
    "one": normal(1, seed=4),
    "thin": normal(1, 7, seed=5),
}
CREDIT = {name: np.abs(array) for name, array in MODEL.items()}


def assert_same(some, others):
    assert schema_of(some) == schema_of(others)
    assert all(some[name].tobytes() == others[name].tobytes() for name in some)


class TestSchema:
    @given(chains(), st.dictionaries(st.text("ab", max_size=3), tensors(), max_size=3), seeds)
    def test_of_what_travels_is_known_before_and_of_what_arrives_is_the_difference_s(
        self, stages, arrays, seed
    ):
        sent = encode_arrays(stages, arrays, seed)
        assert schema_of(sent) == encoded_schema(stages, schema_of(arrays))
        assert schema_of(decode_arrays(stages, sent, schema_of(arrays), seed)) == schema_of(arrays)

    def test_of_no_stages_is_the_difference_s_and_so_are_the_bytes(self):
        assert_same(encode_arrays([], MODEL, 1), MODEL)
        assert_same(decode_arrays([], MODEL, schema_of(MODEL), 1), MODEL)

    def test_names_side_parts_after_tensor_and_kind(self):
        assert encoded_schema([TopK(), Quantise(bits=4)], {"w": Spec((100, 100), FLOAT32)}) == {
            "w": Spec((50,), np.dtype(np.uint8)),
            "w/top_k.indices": Spec((118,), np.dtype(np.uint8)),
            "w/quantise.low": Spec((1,), FLOAT32),
            "w/quantise.scale": Spec((1,), FLOAT32),
        }

    @pytest.mark.parametrize("names", [("w", "w/top_k.indices"), ("w/top_k.indices", "w")])
    def test_has_no_two_arrays_of_one_name(self, names):
        with pytest.raises(Misuse, match=r"'w/top_k\.indices'"):
            encoded_schema([TopK()], dict.fromkeys(names, Spec((5,), FLOAT32)))

    @given(chains(), tensors(), seeds)
    def test_can_be_stored(self, stages, array, seed):
        sent = encode_arrays(stages, {"w": array}, seed)
        assert_same(decode_tensors(encode_tensors(sent))[0], sent)

    @pytest.mark.parametrize(
        ("stages", "ratio"),
        [
            ([Quantise()], 3.8),
            ([Subsample(), Rotate(), Quantise(bits=2)], 220),
            ([TopK(), Quantise(bits=4)], 220),
            ([LowRank(), Quantise()], 200),
        ],
        ids=lambda value: "+".join(stage.kind for stage in value) if type(value) is list else None,
    )
    def test_of_a_large_layer_is_so_many_times_smaller(self, stages, ratio):
        schema = {"w": Spec((256, 512, 4, 4), FLOAT32)}
        assert size_of(schema) / size_of(encoded_schema(stages, schema)) > ratio


class TestDeterminism:
    @given(chains(), tensors(), seeds)
    def test_one_seed_gives_one_encoding(self, stages, array, seed):
        assert_same(*(encode_arrays(stages, {"w": array}, seed) for _ in range(2)))

    @pytest.mark.parametrize("kind", ["low_rank", "subsample", "rotate", "quantise_4"])
    def test_another_seed_or_name_gives_another(self, kind):
        stages, array = [STAGE_ALONE[kind]], normal(60, 60)
        first = encode_arrays(stages, {"w": array}, 1)["w"].tobytes()
        assert encode_arrays(stages, {"w": array}, 2)["w"].tobytes() != first
        assert encode_arrays(stages, {"v": array}, 1)["v"].tobytes() != first

    @pytest.mark.parametrize("kind", STAGE_ALONE)
    def test_neither_the_update_nor_what_arrived_is_changed(self, kind):
        stages, array = [STAGE_ALONE[kind]], normal(70, 70)
        array.flags.writeable = False
        sent = decode_tensors(encode_tensors(encode_arrays(stages, {"w": array}, 1)))[0]
        decode_arrays(stages, sent, {"w": Spec(array.shape, array.dtype)}, 1)


GOLDEN = {
    "low_rank": "faa7ef79e357dc625fcb820d6e15cbf8198b1591d6cee17e80482e04220c27c3",
    "subsample": "056fdda6bb3639298570fd195bed5274415f5fe3e86d0d0937400749c410547c",
    "subsample_unscaled": "240b0fabc8d70800ed297b79addd8195d9a0fa1c0efb337a8fd5c53249313683",
    "top_k": "7572ee350367d46a20497af6392a7f8cb41ca5f909e8799bb51f725bf0af8239",
    "esgd": "04c9334cc1f9d2aefbc2ce7c7d8640f982085ecc8790693bb52c65faeba770bd",
    "rotate": "36a68f28ed2dd824ed2fd64a527874f7ded41517a364526c4019b8c595f3fa6c",
    "quantise_1": "1cacd8ccddf06eba3015ac29c84bf60916dd9faa3f944dacae6d5ca8cb95c88f",
    "quantise_2_norm": "e0aa894d2794045bd9bf96e2b614a762a9473af844ed734c06eea1f1eaf77d29",
    "quantise_4": "9835b613acf6656c6516252a9f9b8e8743533bcb55a1424cfb3b4a2da602e6d8",
    "quantise_8_norm": "1fc416f6b14112591eb7e57b849e95b827061e8aa74bf6212b2c36da9b77025d",
    "quantise_8": "cb402dfb2800f73e02eb149898dbaf873d4ccf930be4bc87ec606d9ad52e0998",
}


@pytest.mark.parametrize("kind", STAGE_ALONE)
def test_every_machine_decodes_to_these_bytes(kind):
    """What travels as float32 is replaced by fixed numbers, because its sender may round as it likes."""
    stages = [STAGE_ALONE[kind]]
    update = {"w": fixed((50, 90)), "b": fixed((37,)), "s": fixed(())}
    sent = encode_arrays(stages, update, 7)
    sent = {
        name: fixed(array.shape) if array.dtype == FLOAT32 else array
        for name, array in sent.items()
    }
    back = decode_arrays(stages, sent, schema_of(update), 7)
    assert hashlib.sha256(encode_tensors(back)).hexdigest() == GOLDEN[kind]


def fixed(shape):
    """Numbers that are the same everywhere: multiples of 2**-23 from -1 up to 1."""
    words = np.random.PCG64(5).random_raw(int(np.prod(shape)))
    return (
        (((words >> np.uint64(40)).astype(np.float64) - 2**23) / 2**23).astype("<f4").reshape(shape)
    )


@pytest.mark.parametrize("kind", STAGE_ALONE)
def test_memory_stays_within_a_few_times_the_tensor_s(kind):
    stages, update = [STAGE_ALONE[kind]], {"w": normal(512, 512)}
    tracemalloc.start()
    try:
        sent = encode_arrays(stages, update, 1, update)
        encoding = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        decode_arrays(stages, sent, schema_of(update), 1)
        decoding = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert max(encoding, decoding) < 5 * update["w"].nbytes


class TestObjections:
    @settings(max_examples=200)
    @given(chains())
    def test_none_to_stages_in_their_order(self, stages):
        assert chain_objection(stages) is None

    @pytest.mark.parametrize(
        ("stages", "words"),
        [
            ([Quantise(), TopK()], "top_k cannot follow quantise"),
            ([Quantise(), Quantise(bits=4)], "quantise cannot follow quantise"),
            ([TopK(), Esgd()], "esgd cannot follow top_k"),
            ([Subsample(), TopK()], "top_k cannot follow subsample"),
            ([Rotate(), TopK()], "top_k cannot follow rotate"),
            ([TopK(), LowRank()], "low_rank cannot follow top_k"),
            ([LowRank(), Esgd()], "use top_k"),
        ],
    )
    def test_to_stages_that_do_not_compose(self, stages: Stages, words: str):
        assert words in str(chain_objection(stages))

    def test_every_kind_is_listed_under_its_own_name(self):
        assert [kind().kind for kind in STAGES] == [
            *("low_rank", "subsample", "top_k", "esgd", "rotate", "quantise")
        ]


@pytest.mark.parametrize("fraction", [0, -1, "1.1", "NaN"])
def test_no_fraction_but_from_above_0_to_1(fraction):
    with pytest.raises(ValueError, match="fraction"):
        TopK(fraction=fraction)


@pytest.mark.parametrize(
    ("kind", "knobs"),
    [
        (Quantise, {"bits": 3}),
        (Quantise, {"bits": 1, "spread": "norm"}),
        (Quantise, {"bucket": 12}),
        (Rotate, {"block": 100}),
        (Subsample, {"one_in": 1}),
        (LowRank, {"rank": 0}),
    ],
)
def test_no_knobs_outside_their_range(kind, knobs):
    with pytest.raises(ValueError, match=next(iter(knobs)) if len(knobs) == 1 else "1 bit"):
        kind(**knobs)


def test_a_fraction_is_exact():
    schema = {"w": Spec((10**6,), FLOAT32)}
    for fraction, count in [("0.1", 10**5), ("0.100000001", 10**5 + 1), ("0.000000000001", 1)]:
        assert encoded_schema([TopK(fraction=Decimal(fraction))], schema)["w"].shape == (count,)
