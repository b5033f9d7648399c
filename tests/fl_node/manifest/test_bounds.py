"""A manifest too large to look at: refused in one line, in milliseconds, whether it is TOML, JSON or Python values."""

from __future__ import annotations

import json
import re
from decimal import Decimal

import pytest

from fl_node.errors import BlobMalformed, ManifestInvalid
from fl_node.manifest.bounds import (
    MAX_DIGITS,
    MAX_TEXT,
    MAX_TOML_BYTES,
    MAX_VALUES,
    parse_toml,
    verify_bounds,
)
from fl_node.manifest.manifest import build_manifest, parse_manifest, read_manifest

pytestmark = pytest.mark.timeout(60)

MEMBERS = [f"0x{number:040x}" for number in (1, 2, 3)]
VALUES = {"name": "digits", "seed": 7, "members": MEMBERS, "rounds": {"count": 5}}
STORED = build_manifest(VALUES).to_bytes()

HUGE = ["1e999999999", "-1e999999999", "1e-999999999", "1e5000", "0." + "1" * 5000]


def nested(path, value):
    """{"a": {"b": value}} for the path a.b."""
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


@pytest.mark.parametrize("number", HUGE, ids=lambda text: text[:20])
class TestHugeNumbers:
    @pytest.mark.parametrize("field", ["seed", "rounds.count", "limits.update_norm", "no.such"])
    def test_as_people_write_them(self, tmp_path, field, number):
        path = tmp_path / "task.toml"
        path.write_text(f"{field} = {number}\n")
        said = f"{field}: a number of more than 78 digits"
        with pytest.raises(ManifestInvalid, match=said):
            read_manifest(path)
        with pytest.raises(ManifestInvalid, match=said):
            build_manifest(nested(field, Decimal(number)))

    @pytest.mark.parametrize("field", ["seed", "count", "update_norm"])
    @pytest.mark.parametrize("quote", ["", '"'], ids=["a number", "a text"])
    def test_as_anybody_stores_them(self, field, quote, number):
        written = f'"{field}":{quote}{number}{quote}'
        blob = re.sub(rf'"{field}":[^,}}]*', written, STORED.decode()).encode()
        assert written.encode() in blob
        with pytest.raises(BlobMalformed):
            parse_manifest(blob)


TOML = {
    "an exponent that no decimal has": ("seed = 1e99999999999999999999", "exponent"),
    "an integer of 5,000 digits": ("seed = " + "9" * 5000, "4300 digits|78 digits"),
    "a hexadecimal integer": ("seed = 0x" + "f" * 60_000, "seed: a number of more than"),
    "an infinity": ("seed = inf", "seed: .*finite"),
    "no number": ("seed = nan", "seed: .*finite"),
    "a date": ("seed = 2020-01-01", "seed: .*integer"),
    "deep lists": ("seed = " + "[" * 60_000, "opening brackets; at most"),
    "lists just below that": ("seed = " + "[" * 200 + "]" * 200, "seed: .*integer"),
    "deep tables": ("seed = " + "{a=" * 20_000, "opening brackets; at most"),
    "brackets behind a comment": ('# "\n' + "a=[[#]]\n" * 5000, "opening brackets; at most"),
    "a key of many parts": ("a" + ".a" * 30_000 + " = 1", "dots; at most"),
    "too many bytes": ("#" * (MAX_TOML_BYTES + 1), "65537 bytes"),
    "no text": ("name = '\udcff'", "not UTF-8 text"),
}


@pytest.mark.parametrize(("text", "said"), TOML.values(), ids=TOML)
def test_toml_that_is_no_manifest(tmp_path, text, said):
    path = tmp_path / "task.toml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ManifestInvalid, match=said) as caught:
        read_manifest(path)
    assert len(str(caught.value)) < 1000


def strategy(**choices):
    return {**json.loads(STORED)["strategy"], **choices}


MANY = {
    "members": {"members": [1] * 300_000},
    "unknown fields": {f"field{number}": 1 for number in range(50_000)},
    "patterns": {"strategy": strategy(share=["a"] * 200_000)},
    "stages": {"strategy": strategy(encode={"stages": [1] * 300_000, "feedback": "0"})},
    "steps": {"strategy": strategy(work={"steps": ["a"] * 200_000})},
    "characters of a name": {"name": "a" * 900_000},
    "characters of a pattern": {"strategy": strategy(share=["*a" * 400_000])},
    "characters of a field's name": {"a" * 900_000: 1},
    "digits of a decimal": {"limits": {"update_norm": "9" * 900_000}},
    "digits of an integer": {"seed": "9" * 900_000},
    "blanks around a decimal": {"limits": {"update_norm": " " * 900_000 + "1"}},
    "lists": {"name": [[]] * 300_000},
}


@pytest.mark.parametrize("sections", MANY.values(), ids=MANY)
def test_too_many_of(sections):
    """A mebibyte of anything costs a fraction of a second and one short line."""
    changed = {**json.loads(STORED), **sections}
    blob = json.dumps(changed, sort_keys=True, separators=(",", ":")).encode()
    assert len(blob) < 1 << 20
    with pytest.raises(BlobMalformed, match=r"characters; at most|more than 2000 keys") as caught:
        parse_manifest(blob)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("strategy.work.steps", 1 << 31),
        ("strategy.work.epochs", [1, 1, 1 << 31]),
        ("limits.model_bytes", (1 << 40) + 1),
    ],
)
def test_amounts_have_an_upper_limit(path, value):
    with pytest.raises(ManifestInvalid, match=f"{path}.*less than or equal to"):
        build_manifest(VALUES | nested(path, value))


def test_many_problems_are_counted_and_the_first_ones_named():
    with pytest.raises(ManifestInvalid, match=r"field0: .*; and 30 more") as caught:
        build_manifest(VALUES | {f"field{number}": 1 for number in range(40)})
    assert len(str(caught.value)) < 1000


def test_a_field_named_with_control_characters_is_shown_escaped():
    with pytest.raises(ManifestInvalid) as caught:
        build_manifest(VALUES | {"\x1b[2Jclean": "\x1b[31m"})
    assert "\x1b" not in str(caught.value)
    assert "\\x1b[2Jclean" in str(caught.value)


def test_what_the_limits_are_is_allowed():
    verify_bounds([10**MAX_DIGITS - 1, "a" * MAX_TEXT, Decimal("1e77"), *range(MAX_VALUES - 4)])
    for too_much in (10**MAX_DIGITS, "a" * (MAX_TEXT + 1), Decimal("1e78"), [0] * MAX_VALUES):
        with pytest.raises(ValueError, match=r"more than|at most"):
            verify_bounds([too_much])


def test_a_value_that_holds_itself_ends_too():
    values = {}
    values["a"] = values
    with pytest.raises(ValueError, match="more than 2000"):
        verify_bounds(values)


def test_fractions_in_toml_are_exact():
    assert parse_toml("a = 0.1\nb = 2e-4") == {"a": Decimal("0.1"), "b": Decimal("0.0002")}
