"""Schedules: what a knob is in each round, how they are written, and which are refused."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from doubles import MEMBERS, small_manifest
from hypothesis import given
from hypothesis import strategies as st

from fl_node.errors import ManifestInvalid
from fl_node.manifest.manifest import parse_manifest, read_manifest
from fl_node.manifest.schedules import Pieces, Ramp

rates = st.decimals("1e-18", "1", places=18)
kinds = st.sampled_from(["linear", "cosine"])
rounds = st.integers(1, 65_535)


def ramp(begin: object, end: object, over: int, kind: str = "linear") -> Ramp:
    return Ramp.model_validate({"from": begin, "to": end, "over": over, "kind": kind})


def stored(value: Any, knob: str = "generator_rate", kind: str = "gan") -> Any:
    """A knob's value in the canonical JSON of a manifest that gives it."""
    manifest = small_manifest(learner={"kind": kind, knob: value})
    assert parse_manifest(manifest.to_bytes()) == manifest
    return json.loads(manifest.to_bytes())["learner"][knob]


class TestValues:
    @given(st.dictionaries(rounds, rates, max_size=5), rates, rounds)
    def test_a_piece_holds_until_the_next(self, later, first, round):
        values = {**later, 1: first}
        schedule = Pieces(sorted(values.items()))
        last = max(begin for begin in values if begin <= round)
        assert schedule.at(round) == float(values[last])

    @given(rates, rates, st.integers(2, 65_535), rounds)
    def test_a_linear_ramp_is_exact_and_rounded_once(self, begin, end, over, round):
        done = Fraction(min(round, over) - 1, over - 1)
        exact = Fraction(begin) * (1 - done) + Fraction(end) * done
        assert ramp(begin, end, over).at(round) == exact.numerator / exact.denominator

    @given(rates, rates, st.integers(2, 65_535), kinds, rounds)
    def test_a_ramp_stays_between_its_ends_and_reaches_them(self, begin, end, over, kind, round):
        schedule = ramp(begin, end, over, kind)
        assert schedule.at(1) == float(begin)
        assert schedule.at(over) == schedule.at(over + round) == float(end)
        assert float(min(begin, end)) <= schedule.at(round) <= float(max(begin, end))

    @given(rates, rates, st.integers(2, 500), kinds)
    def test_a_ramp_never_turns_back(self, begin, end, over, kind):
        values = [ramp(begin, end, over, kind).at(round) for round in range(1, over + 1)]
        ascending = values if begin <= end else values[::-1]
        assert all(first <= second for first, second in pairwise(ascending))

    @given(rates, st.integers(2, 65_535), kinds, rounds)
    def test_a_schedule_that_never_changes_is_the_number(self, rate, over, kind, round):
        assert ramp(rate, rate, over, kind).at(round) == float(rate)
        assert Pieces([(1, rate), (over, rate)]).at(round) == float(rate)

    def test_a_cosine_is_slow_at_both_ends(self):
        schedule = ramp("0.3", "0.1", 5, "cosine")
        expected = [0.2 + 0.1 * math.cos(math.pi * quarter / 4) for quarter in range(5)]
        assert [schedule.at(round) for round in range(1, 6)] == pytest.approx(expected)

    def test_a_linear_ramp_by_hand(self):
        values = [ramp("0.5", "0.1", 5).at(round) for round in range(1, 8)]
        assert values == [0.5, 0.4, 0.3, 0.2, 0.1, 0.1, 0.1]


class TestSpelling:
    def test_toml_is_read_as_it_is_meant(self, tmp_path):
        members = ", ".join(f'"{member}"' for member in MEMBERS)
        (tmp_path / "task.toml").write_text(f"""
            name = "falling"
            seed = 1
            members = [{members}]
            [learner]
            generator_rate = [[1, 1e-3], [50, 0.00010]]
            penalty = {{ from = 1, to = 0.1, over = 20 }}
            [rounds]
            count = 60
        """)
        learner = read_manifest(tmp_path / "task.toml").learner
        assert learner.generator_rate.at(49) == 0.001
        assert learner.generator_rate.at(50) == 0.0001
        assert learner.penalty.at(20) == 0.1
        assert learner.discriminator_rate == Decimal("0.0002")

    @pytest.mark.parametrize(
        ("given", "canonical"),
        [
            ("0.0010", "0.001"),
            (Decimal("1e-3"), "0.001"),
            ([[1, "0.0010"], [50, 1]], [[1, "0.001"], [50, "1"]]),
            (
                {"from": "0.10", "to": "1e-4", "over": 50},
                {"from": "0.1", "to": "0.0001", "over": 50, "kind": "cosine"},
            ),
            (
                {"kind": "linear", "from": 1, "to": "0.5", "over": 2},
                {"from": "1", "to": "0.5", "over": 2, "kind": "linear"},
            ),
        ],
    )
    def test_canonical_json_has_one_spelling(self, given, canonical):
        assert stored(given) == canonical

    @pytest.mark.parametrize(
        ("kind", "knob"),
        [
            ("gan", "generator_rate"),
            ("gan", "discriminator_rate"),
            ("gan", "penalty"),
            ("gan", "beta2"),
            ("classifier", "rate"),
        ],
    )
    def test_these_knobs_may_change(self, kind, knob):
        assert stored([[1, "0.5"], [2, "0.25"]], knob, kind) == [[1, "0.5"], [2, "0.25"]]

    @pytest.mark.parametrize("knob", ["beta1", "batch", "latent", "ema_half_life"])
    def test_others_may_not(self, knob):
        with pytest.raises(ManifestInvalid, match=f"learner.{knob}: "):
            stored([[1, 1], [2, 2]], knob)


class TestRefusals:
    @pytest.mark.parametrize(
        ("value", "said"),
        [
            ([], ": a schedule begins with round 1"),
            ([[2, "0.1"]], ": a schedule begins with round 1"),
            ([[0, "0.1"]], ".0.0: .*greater than or equal to 1"),
            ([[1, "0.1"], [5, "0.2"], [5, "0.3"]], ": .* ascend, but 5 follows 5"),
            ([[1, "0.1"], [5, "0.2"], [3, "0.3"]], ": .* ascend, but 3 follows 5"),
            ([[1, "0.1"], [65_536, "0.2"]], ".1.0: .*less than or equal to 65535"),
            ([[1, "0.1"], [2, "0"]], ": .*greater than 0"),
            ([[1, "0.1"], [2, "1.5"]], ": .*less than or equal to 1"),
            ([[1, "nan"]], ".0.1: .*finite"),
            ([[1, "0.1", 2]], ".0: .*at most 2"),
            ([1, "0.1"], ".0: .*tuple"),
            ({}, ".from: Field required"),
            ({"from": "0.1", "to": "0.2"}, ".over: Field required"),
            ({"from": "0.1", "to": "0.2", "over": 1}, ".over: .*greater than or equal to 2"),
            ({"from": "0.1", "to": "0.2", "over": 9, "steps": 1}, ".steps: unknown field"),
            (
                {"from": "0.1", "to": "0.2", "over": 9, "kind": "step"},
                ".kind: .*'cosine' or 'linear'",
            ),
            ({"from": "0.1", "to": "0", "over": 9}, ": .*greater than 0"),
            ({"from": "2", "to": "0.1", "over": 9}, ": .*less than or equal to 1"),
            ({"from": "0.1", "to": "-1", "over": 9}, ": .*greater than 0"),
        ],
    )
    def test_a_wrong_schedule_is_refused_with_its_field(self, value, said):
        with pytest.raises(ManifestInvalid, match=f"learner.generator_rate{said}"):
            stored(value)

    @pytest.mark.parametrize(
        ("knob", "value", "said"),
        [
            ("beta2", {"from": "0.9", "to": "1", "over": 9}, "less than 1"),
            ("beta2", [[1, "0.9"], [2, "-0.1"]], "greater than or equal to 0"),
            ("beta2", [[1, "0.9"], [2, "0.999999999999999999"]], "9 decimal"),
            ("penalty", {"from": "1", "to": "1001", "over": 9}, "less than or equal to 1000"),
        ],
    )
    def test_every_value_is_in_the_knobs_own_range(self, knob, value, said):
        with pytest.raises(ManifestInvalid, match=f"learner.{knob}: .*{said}"):
            stored(value, knob)

    def test_too_long_a_schedule_is_refused_quickly(self):
        with pytest.raises(ManifestInvalid, match="keys and values"):
            stored([[round, "0.1"] for round in range(1, 2_000)])
