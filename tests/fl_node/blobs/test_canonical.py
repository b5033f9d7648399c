"""Canonical JSON: what equal values look like, and what is refused before it costs time or memory."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_node.blobs.canonical import MAX_JSON_DEPTH, MAX_JSON_DIGITS, canonical_json, parse_json

texts = st.text(st.characters(codec="utf-8"))
integers = st.integers(-(10**MAX_JSON_DIGITS) + 1, 10**MAX_JSON_DIGITS - 1)
values = st.recursive(
    st.none() | st.booleans() | integers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_what_is_written_is_read_back(value):
    assert parse_json(canonical_json(value).decode()) == value


@given(values, st.randoms())
def test_equal_values_have_equal_bytes(value, random):
    if isinstance(value, dict):
        shuffled = dict(random.sample(list(value.items()), len(value)))
        assert canonical_json(shuffled) == canonical_json(value)
    assert canonical_json(parse_json(json.dumps(value))) == canonical_json(value)


@pytest.mark.parametrize("value", [0.5, {"a": [1.0]}, float("nan"), {1, 2}, b"bytes"])
def test_what_canonical_json_does_not_have_is_not_written(value):
    with pytest.raises(TypeError):
        canonical_json(value)


@given(st.text())
def test_any_text_is_read_or_refused_and_nothing_else(text):
    try:
        parse_json(text)
    except ValueError:
        return
    json.loads(text)


NUMBERS = [
    "1e5",
    "1E+5",
    "1e999999999",
    "-1e-999999999",
    "1e99999999999999999999",
    "1.0",
    "-0.5",
    "1." + "0" * 1_000_000,
    "NaN",
    "Infinity",
    "-Infinity",
    "9" * (MAX_JSON_DIGITS + 1),
    "-" + "9" * (MAX_JSON_DIGITS + 1),
    "9" * 1_000_000,
]
short = {"ids": lambda text: text[:24]}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", NUMBERS, **short)
@pytest.mark.parametrize("around", ["{}", '{{"seed":{}}}', "[[0,{}]]"])
def test_a_number_that_is_no_bounded_integer_is_refused(number, around):
    with pytest.raises(
        ValueError, match=r"only integers without exponent|an integer has .* digits"
    ):
        parse_json(around.format(number))


@pytest.mark.parametrize("number", ["0", "-0", "7", "9" * MAX_JSON_DIGITS, "-" + "9" * 78])
def test_an_integer_as_long_as_a_uint256_is_read(number):
    assert parse_json(number) == int(number)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", ["0.5", "1e3", "1e999999999", "1." + "0" * 100_000], **short)
def test_where_fractions_are_allowed_they_are_floats(number):
    assert isinstance(parse_json(number, fractions=True), float)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "9" * 1000], **short)
def test_other_numbers_stay_refused_where_fractions_are_allowed(number):
    with pytest.raises(ValueError, match=r"only integers|digits"):
        parse_json(number, fractions=True)


@pytest.mark.parametrize(
    "text", ['{"a":1,"a":1}', '{"a":1,"\\u0061":2}', '[{"b":{"":0,"":0}}]'], ids=repr
)
def test_a_key_twice_is_refused(text):
    with pytest.raises(ValueError, match="same key twice"):
        parse_json(text)


@pytest.mark.parametrize("text", ['"\\ud800"', '{"\\udfff":1}', '["a\\uD83Db"]'])
def test_half_of_a_surrogate_pair_is_refused(text):
    with pytest.raises(ValueError, match="surrogates not allowed"):
        parse_json(text)


def test_a_whole_surrogate_pair_and_an_escaped_backslash_are_read():
    assert parse_json('"\\ud83d\\ude00"') == "😀"
    assert parse_json('"\\\\ud800"') == "\\ud800"


class TestNesting:
    @pytest.mark.parametrize("opening", ["[", '{"a":', '[{"]":'])
    def test_too_deep_is_refused_before_the_parser_sees_it(self, opening):
        with pytest.raises(ValueError, match=f"nested more than {MAX_JSON_DEPTH} deep"):
            parse_json(opening * 100_000)

    def test_as_deep_as_allowed_is_read(self):
        parse_json("[" * MAX_JSON_DEPTH + "]" * MAX_JSON_DEPTH)
        with pytest.raises(ValueError, match="deep"):
            parse_json("[" * (MAX_JSON_DEPTH + 1) + "]" * (MAX_JSON_DEPTH + 1))

    @pytest.mark.parametrize("inside", ["[" * 100, '\\"' + "{" * 100, "\\\\" + "é[" * 100])
    def test_brackets_inside_a_text_do_not_count(self, inside):
        assert parse_json(f'["{inside}"]')

    @pytest.mark.parametrize("hiding", ['"]",', '"\\"]",', '"\\\\",', '"é]",'])
    def test_a_text_hides_no_brackets_outside_of_it(self, hiding):
        with pytest.raises(ValueError, match="deep"):
            parse_json(f"[{hiding}" * 40)


LONG = {
    "opening brackets": "[" * (1 << 20),
    "pairs of brackets": "[" + "[]," * (1 << 18) + "0]",
    "empty texts": "[" + '"",' * (1 << 18) + "0]",
    "quotes": '"' * (1 << 20),
    "backslashes": '"' + "\\" * (1 << 20),
    "escapes": '"' + "\\u0001" * (1 << 17) + '"',
    "digits": "9" * (1 << 20),
    "integers": "[" + "1," * (1 << 18) + "0]",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_the_time_grows_with_the_length_alone(text):
    """A million characters take a fraction of a second; a quadratic reader would need hours."""
    try:
        parse_json(text)
    except ValueError as refusal:
        assert len(str(refusal)) < 200
        assert not re.search(r"(.)\1{50}", str(refusal))


def test_the_limits_are_those_of_the_protocol():
    """In numbers, since a limit that moved would part those who still agree from those who no longer do."""
    assert parse_json("[" * 32 + "]" * 32)
    with pytest.raises(ValueError, match="more than 32 deep"):
        parse_json("[" * 33 + "]" * 33)
    assert parse_json("9" * 78) == 10**78 - 1
    with pytest.raises(ValueError, match="79 digits; at most 78"):
        parse_json("9" * 79)


def test_what_is_closed_makes_no_room_for_more():
    with pytest.raises(ValueError, match="more than 32 deep"):
        parse_json("[" + "[]," * 40 + "[" * 32 + "]" * 32 + "]")
    assert parse_json("[" + "[]," * 40 + "[" * 31 + "]" * 31 + "]")
