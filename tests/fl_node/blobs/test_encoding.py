"""Arrays to bytes and back: one blob for one set of arrays, and nothing but BlobMalformed for the rest."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from chain.types import Address
from fl_node.blobs.digest import digest_of
from fl_node.blobs.encoding import (
    DISTRIBUTION,
    LONGEST_VERSION,
    VERSION,
    UpdateHeader,
    decode_update,
    difference,
    encode_update,
    update_size,
)
from fl_node.blobs.metrics import LONGEST, NAME, metric_of
from fl_node.blobs.model import decode_model, encode_model
from fl_node.blobs.tensors import schema_of
from fl_node.errors import BlobMalformed, Misuse

HEADER = UpdateHeader(3, 2, Address("0x" + "Ab" * 20), bytes(range(32)), 77, 8, "float32", 9)
MODEL = {
    "b.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a.bias": np.array([1.5, -0.0], np.float32),
    "steps": np.array(7, np.int64),
}
UPDATE = {name: MODEL[name] for name in ("b.weight", "a.bias")}

dtypes = st.sampled_from(["<i8", "<f8", "<f4", "<i4", "<f2", "u1"]).map(np.dtype)
names = st.text(st.characters(codec="utf-8"), max_size=8).filter(
    lambda name: name != "__metadata__"
)
models = st.dictionaries(
    names, hnp.arrays(dtypes, hnp.array_shapes(min_dims=0, max_dims=3, max_side=4)), max_size=5
)


def blob_of(entries: object, payload: bytes = b"") -> bytes:
    """A file with any header, canonical or not."""
    text = (
        entries
        if isinstance(entries, bytes)
        else json.dumps(entries, separators=(",", ":")).encode()
    )
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + payload


def entry(
    shape: object = (1,), dtype: object = "F32", offsets: object = (0, 4)
) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@given(models)
def test_a_model_comes_back_bit_for_bit(model):
    back = decode_model(encode_model(model))
    assert schema_of(back) == schema_of(model)
    assert all(back[name].tobytes() == model[name].tobytes() for name in model)


@given(models)
def test_the_safetensors_library_writes_the_same_file(model):
    assert encode_model(model) == safetensors.numpy.save(model)


@given(models, st.randoms())
def test_the_order_in_which_arrays_are_given_does_not_matter(model, random):
    shuffled = random.sample(list(model), len(model))
    assert encode_model({name: model[name] for name in shuffled}) == encode_model(model)


def test_what_is_decoded_is_a_read_only_view_of_the_blob():
    blob = encode_model(MODEL)
    array = decode_model(blob)["b.weight"]
    assert np.shares_memory(array, np.frombuffer(blob, np.uint8))
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 1


def test_an_array_in_another_memory_order_is_the_same_content():
    assert encode_model({"w": np.asfortranarray(MODEL["b.weight"])}) == encode_model(
        {"w": MODEL["b.weight"]}
    )


@pytest.mark.parametrize(
    "array",
    [np.zeros(2, bool), np.zeros(2, complex), np.zeros(2, ">f4"), np.zeros(0), np.array(["text"])],
)
def test_what_no_blob_holds_is_not_written(array):
    with pytest.raises(Misuse, match="'w'"):
        encode_model({"w": array})


def test_an_update_comes_back_with_its_header():
    update = decode_update(encode_update(HEADER, UPDATE))
    assert update.header == HEADER
    assert update.arrays.keys() == UPDATE.keys()


STATING = replace(
    HEADER,
    metrics={"accuracy": Decimal("0.913"), "auc": None, "kid": Decimal("-12")},
    versions={"torch": "2.15.0+cu128", "scikit-learn": '1.9 ("a\\b")'},
)


def test_metrics_and_versions_come_back():
    assert decode_update(encode_update(STATING, UPDATE)).header == STATING


def test_an_update_that_states_neither_has_no_keys_for_them():
    blob = encode_update(HEADER, UPDATE)
    assert b"metrics" not in blob
    assert b"versions" not in blob


@given(
    st.dictionaries(st.from_regex(NAME, fullmatch=True), st.floats().map(metric_of), max_size=4),
    st.dictionaries(
        st.from_regex(DISTRIBUTION, fullmatch=True),
        st.from_regex(VERSION, fullmatch=True),
        max_size=4,
    ),
)
def test_no_update_is_longer_than_one_with_the_longest_metrics_and_versions(metrics, versions):
    header = replace(HEADER, metrics=metrics, versions=versions)
    longest = replace(
        HEADER,
        metrics=dict.fromkeys(metrics, LONGEST),
        versions=dict.fromkeys(versions, LONGEST_VERSION),
    )
    blob = encode_update(header, UPDATE)
    assert decode_update(blob).header == header
    assert len(blob) <= update_size(longest, schema_of(UPDATE))
    exact = encode_update(longest, UPDATE)
    assert len(exact) == update_size(longest, schema_of(UPDATE))
    assert decode_update(exact).header == longest


def test_an_update_has_exactly_one_metadata_value_and_it_is_canonical_json():
    blob = encode_update(HEADER, UPDATE)
    head = json.loads(blob[8 : 8 + int.from_bytes(blob[:8], "little")])
    assert head["__metadata__"] == {
        "ganchor": '{"client":"0x' + "Ab" * 20 + '","codec":"float32","examples":77,"format":3,'
        '"parent":"' + bytes(range(32)).hex() + '","round":2,"seed":9,"steps":8,"task":3}'
    }


@given(st.integers(0, 2**256 - 1), st.integers(0, 2**16 - 1), st.integers(0, 2**64 - 1))
def test_the_size_of_an_update_is_known_before_it_is_read(task, round, examples):
    header = replace(HEADER, task=task, round=round, num_examples=examples)
    blob = encode_update(header, UPDATE)
    assert update_size(header, schema_of(UPDATE)) == len(blob)
    assert decode_update(blob).header == header


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_difference_is_in_float32_whatever_the_model_is_in(dtype):
    step = difference({"w": np.array([1.25], dtype)}, {"w": np.array([1.0], dtype)})
    assert step["w"].tolist() == [0.25]
    assert step["w"].dtype == np.float32


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
def test_the_difference_leaves_constants_out(dtype):
    parent, trained = (
        {"w": np.array([value], np.float32), "n": np.array(value, dtype)} for value in (1, 2)
    )
    assert difference(trained, parent).keys() == {"w"}


def test_a_difference_that_float32_cannot_hold_is_not_finite():
    step = difference({"w": np.array([1e39, np.nan])}, {"w": np.zeros(2)})
    assert not np.isfinite(step["w"]).any()


def test_a_difference_between_unlike_models_is_misuse():
    with pytest.raises(Misuse):
        difference(MODEL, UPDATE)


def test_a_model_blob_is_no_update_blob_and_the_other_way_round():
    with pytest.raises(BlobMalformed):
        decode_update(encode_model(MODEL))
    with pytest.raises(BlobMalformed):
        decode_model(encode_update(HEADER, UPDATE))


MALFORMED = {
    "nothing": b"",
    "a length and no header": (8).to_bytes(8, "little"),
    "a header of 2**63 bytes": (2**63).to_bytes(8, "little") + b"{}      ",
    "no JSON": blob_of(b"{nonsense"),
    "JSON too deep": blob_of(b"[" * 100_000),
    "a number too long": blob_of(b'{"a":' + b"9" * 5000 + b"}"),
    "no UTF-8": blob_of(b'{"\xff":1}'),
    "a lone surrogate": blob_of({"\ud800": entry()}, bytes(4)),
    "a list": blob_of([]),
    "a tensor that is no object": blob_of({"a": 1}),
    "an unknown dtype": blob_of({"a": entry(dtype="BF16", offsets=(0, 2))}, bytes(2)),
    "a dtype that is a list": blob_of({"a": entry(dtype=[])}, bytes(4)),
    "a negative size": blob_of({"a": entry(shape=(-1,))}, bytes(4)),
    "a size of true": blob_of({"a": entry(shape=(True,))}, bytes(4)),
    "a size of 1e999999999": blob_of(
        b'{"a":{"dtype":"F32","shape":[1e999999999],"data_offsets":[0,4]}}', bytes(4)
    ),
    "a size of 1.0": blob_of({"a": entry(shape=(1.0,))}, bytes(4)),
    "an absurd size": blob_of({"a": entry(shape=(2**62, 2**62), offsets=(0, 2**126))}, bytes(4)),
    "no elements": blob_of({"a": entry(shape=(0,), offsets=(0, 0))}),
    "too many dimensions": blob_of({"a": entry(shape=(1,) * 40)}, bytes(4)),
    "a gap": blob_of({"a": entry(offsets=(4, 8))}, bytes(8)),
    "an overlap": blob_of({"a": entry(), "b": entry()}, bytes(4)),
    "another order": blob_of({"b": entry(), "a": entry(offsets=(4, 8))}, bytes(8)),
    "trailing bytes": encode_model(MODEL) + b"\0",
    "missing bytes": encode_model(MODEL)[:-1],
    "a space in the JSON": blob_of(
        b'{ "a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', bytes(4)
    ),
    "a repeated key": blob_of(
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        bytes(4),
    ),
    "an extra key": blob_of({"a": entry() | {"more": 1}}, bytes(4)),
    "empty metadata": blob_of({"__metadata__": {}}),
    "other metadata": blob_of({"__metadata__": {"format": "pt"}}),
    "metadata beside ours": blob_of({"__metadata__": {"ganchor": "{}", "format": "pt"}}),
}


@pytest.mark.parametrize("blob", MALFORMED.values(), ids=MALFORMED.keys())
@pytest.mark.parametrize("decode", [decode_model, decode_update])
def test_another_encoding_is_malformed(decode, blob):
    with pytest.raises(BlobMalformed):
        decode(blob)


NOTES = {
    "no JSON": "{",
    "a list": "[]",
    "a text": '"x"',
    "too deep": "[" * 100_000,
    "nothing in it": "{}",
    "another format": {"format": 1},
    "a float": {"round": 2.0},
    "an exponent": '{"seed":1e999999999}',
    "a negative count": {"task": -1},
    "half of a surrogate pair": {"codec": "\ud800"},
    "true": {"round": True},
    "a client that is no address": {"client": "0x12"},
    "a client that is a number": {"client": 12},
    "a parent in capitals": {"parent": "AB" * 32},
    "a codec that is a list": {"codec": []},
    "an extra key": {"more": 1},
    "metrics that are empty": {"metrics": {}},
    "metrics that are a list": {"metrics": ["accuracy"]},
    "a metric's name with a space": {"metrics": {"top 1": "0.5"}},
    "a metric's name that is too long": {"metrics": {"a" * 33: "0.5"}},
    "a metric's name that is empty": {"metrics": {"": "0.5"}},
    "a metric that is a number": {"metrics": {"a": 1}},
    "a metric with an exponent": {"metrics": {"a": "1e5"}},
    "a metric that is minus zero": {"metrics": {"a": "-0"}},
    "a metric with trailing zeros": {"metrics": {"a": "0.50"}},
    "a metric with leading zeros": {"metrics": {"a": "00.5"}},
    "a metric with a plus": {"metrics": {"a": "+1"}},
    "a metric with a space": {"metrics": {"a": " 1"}},
    "a metric with a line break": {"metrics": {"a": "1\n"}},
    "a metric in other digits": {"metrics": {"a": "\u0661"}},
    "a metric that is too large": {"metrics": {"a": "1000000000"}},
    "a metric with ten decimals": {"metrics": {"a": "0.1234567891"}},
    "a metric that says NaN": {"metrics": {"a": "NaN"}},
    "a metric that says infinity": {"metrics": {"a": "Infinity"}},
    "a metric that is a list": {"metrics": {"a": []}},
    "versions that are empty": {"versions": {}},
    "versions that are a text": {"versions": "torch"},
    "a version's name in capitals": {"versions": {"Torch": "2"}},
    "a version that is empty": {"versions": {"torch": ""}},
    "a version that is too long": {"versions": {"torch": "2" * 65}},
    "a version with a control character": {"versions": {"torch": "2\u001b[2J"}},
    "a version with a letter beyond ASCII": {"versions": {"torch": "2é"}},
    "a version that is a number": {"versions": {"torch": 2}},
}


@pytest.mark.parametrize("change", NOTES.values(), ids=NOTES.keys())
def test_another_update_header_is_malformed(change):
    blob = encode_update(HEADER, {"a": np.zeros(1, np.float32)})
    length = 8 + int.from_bytes(blob[:8], "little")
    head = json.loads(blob[8:length])
    if isinstance(change, dict):
        values = json.loads(head["__metadata__"]["ganchor"]) | change
        change = json.dumps(values, sort_keys=True, separators=(",", ":"))
    head["__metadata__"]["ganchor"] = change
    with pytest.raises(BlobMalformed):
        decode_update(blob_of(head, blob[length:]))


@given(st.binary(max_size=200))
def test_random_bytes_are_malformed(blob):
    for decode in (decode_model, decode_update):
        with pytest.raises(BlobMalformed):
            decode(blob)


@given(st.data())
def test_a_changed_byte_is_malformed_or_other_content(data):
    blob = bytearray(encode_update(HEADER, UPDATE))
    position = data.draw(st.integers(0, len(blob) - 1))
    blob[position] ^= data.draw(st.integers(1, 255))
    try:
        update = decode_update(bytes(blob))
    except BlobMalformed:
        return
    assert encode_update(update.header, update.arrays) == bytes(blob)


def test_a_digest_is_the_plain_sha256():
    assert (
        digest_of(b"").hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )
