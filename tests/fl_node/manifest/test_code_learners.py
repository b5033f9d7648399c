"""Learners of one's own in a manifest: what is stored of them, what is refused, and what the others need to know."""

from __future__ import annotations

import json
import re
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from doubles import small_manifest
from hypothesis import given
from hypothesis import strategies as st

from fl_node.errors import ManifestInvalid
from fl_node.manifest.code_learners import MAX_KNOB_DEPTH, FlowerLearner, ModuleLearner
from fl_node.manifest.learners import LEARNERS
from fl_node.manifest.manifest import Manifest, build_manifest, parse_manifest

CODE, GENESIS = "ab" * 32, "cd" * 32
MODULE = {"kind": "module", "code": CODE, "entry": "chest:Chest", "genesis": GENESIS}
FLOWER = {**MODULE, "kind": "flower", "entry": "quickstart.client_app:app"}

NESTED = [
    {"name": "a", "of": "b", "half_life": 1},
    {"name": "c", "of": "a.x", "half_life": 1},
]


def built(learner: dict[str, Any], strategy: Any = "fedavg", **changes: Any) -> Manifest:
    return small_manifest(learner={**learner, **changes}, strategy=strategy)


def refusal_of(learner: dict[str, Any], strategy: Any = "fedavg", **changes: Any) -> str:
    with pytest.raises(ManifestInvalid) as refused:
        built(learner, strategy, **changes)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("learner", [MODULE, FLOWER], ids=["module", "flower"])
def test_the_stored_form_comes_back_byte_for_byte(learner: dict[str, Any]) -> None:
    roles = {
        "statistics": ["*.running_mean"],
        "averages": [{"name": "ema", "of": "net", "half_life": 9}],
    }
    rich = built(learner, knobs={"rate": Decimal("0.10"), "sizes": [1, "two", True]}, metrics=["auc", "f1"],
                 requires=["torch>=2.6", "scikit-learn"], roles=roles)  # fmt: skip
    assert parse_manifest(rich.to_bytes()) == rich
    stored = json.loads(rich.to_bytes())
    assert stored["learner"]["knobs"] == {"rate": "0.1", "sizes": [1, "two", True]}
    assert stored["roles"]["averages"] == [
        {"half_life": 9, "name": "ema", "of": "net", "unit": "steps"}
    ]
    assert stored["roles"] == stored["learner"]["roles"]


def test_what_the_others_need_to_know() -> None:
    learner = built(
        MODULE, metrics=["auc"], requires=["Scikit_Learn", "numpy>=2,<3"], body=["base.*"]
    ).learner
    assert isinstance(learner, ModuleLearner)
    assert learner.metrics == ("auc",)
    assert learner.required == ("numpy", "scikit-learn")
    assert (learner.body, learner.falling_loss) == (("base.*",), "training")


@pytest.mark.parametrize("shipped", ["gan", "classifier", "flow"])
def test_a_shipped_learner_names_no_metrics_and_requires_nothing(shipped: str) -> None:
    learner = small_manifest(learner=shipped).learner
    assert (learner.metrics, learner.required) == ((), ())


def test_presets_follow_what_the_learner_says_and_not_its_kind() -> None:
    assert built(MODULE, "fedper", body=["base.*"]).strategy.share.average == ("base.*",)
    assert built(MODULE, "loadaboost", falling_loss="held_out").strategy.work.loss == "held_out"
    assert built(MODULE, "loadaboost").strategy.work.loss == "training"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"code": "chest.py"}, "learner.code: expected a sha256.*ganchor task open packs a path"),
        ({"code": CODE.upper()}, "learner.code: expected a sha256"),
        ({"genesis": ""}, "learner.genesis: expected a sha256"),
        ({"entry": "chest"}, "learner.entry"),
        ({"entry": "../chest:Chest"}, "learner.entry"),
        ({"entry": "chest:Chest()"}, "learner.entry"),
        ({"entry": "a" * 200 + ":b"}, "learner.entry"),
        ({"knobs": []}, "learner.knobs: expected a table"),
        ({"knobs": {"rate": 0.1}}, "learner.knobs: rate: a float is not allowed"),
        ({"knobs": {"a": {"b": date(2026, 1, 1)}}}, "learner.knobs: a.b: a date is not allowed"),
        ({"knobs": {"a": Decimal("nan")}}, "learner.knobs: a: a Decimal is not allowed"),
        ({"knobs": {"a": None}}, "learner.knobs: a: "),
        ({"knobs": {"a": ["x" * 1000] * 17}}, "learner.knobs: .* at most 16384"),
        ({"metrics": ["auc", "auc"]}, "learner.metrics: 'auc' is named twice"),
        ({"metrics": ["a b"]}, "learner.metrics.0"),
        ({"metrics": ["a" * 33]}, "learner.metrics.0"),
        ({"metrics": [f"m{number}" for number in range(65)]}, "learner.metrics: .*at most 64"),
        ({"requires": ["torch>="]}, "learner.requires.0: .*not a requirement such as"),
        ({"requires": ["torch @ https://example.org/torch.whl"]}, "learner.requires.0: .*no marker, URL or extra"),
        ({"requires": ["torch; python_version > '3'"]}, "learner.requires.0: .*no marker, URL or extra"),
        ({"requires": ["flwr[simulation]"]}, "learner.requires.0: .*no marker, URL or extra"),
        ({"requires": ["torch", "Torch>=2"]}, "learner.requires: a package is required twice; they are torch"),
        ({"requires": ["a"] * 65}, "learner.requires: .*at most 64"),
        ({"batch": 0}, "learner.batch"),
        ({"body": []}, "learner.body"),
        ({"falling_loss": "none"}, "learner.falling_loss"),
        ({"roles": {"averages": [{"name": "a", "of": "a", "half_life": 1}]}}, "roles.averages: 'a'"),
        ({"roles": {"averages": [{"name": "", "of": "a", "half_life": 1}]}}, "roles.averages: ''"),
        ({"roles": {"averages": NESTED}}, "roles.averages: 'c' is the average of 'a.x'"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_with_what_is_allowed(change: dict[str, Any], said: str) -> None:
    assert re.search(said, refusal_of(MODULE, **change)), refusal_of(MODULE, **change)


def test_knobs_may_not_be_nested_deep() -> None:
    deep: Any = 1
    for _ in range(MAX_KNOB_DEPTH):
        deep = {"in": deep}
    assert "nested more than" in refusal_of(MODULE, knobs=deep)
    assert built(MODULE, knobs=deep["in"])


values = st.recursive(
    st.booleans()
    | st.integers(-(10**70), 10**70)
    | st.text(st.characters(codec="utf-8"), max_size=20)
    | st.decimals(allow_nan=False, allow_infinity=False, places=9).filter(
        lambda value: abs(value) < 10**60
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=9), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=9), values, max_size=4))
def test_whatever_knobs_are_accepted_come_back_from_the_stored_form(knobs: dict[str, Any]) -> None:
    try:
        manifest = built(MODULE, knobs=knobs)
    except ManifestInvalid:
        return
    assert parse_manifest(manifest.to_bytes()).to_bytes() == manifest.to_bytes()


class TestStrategies:
    @pytest.mark.parametrize(
        "strategy", ["fedprox", "scaffold", "ditto", "fedadam", "qsgd", "fednova"]
    )
    def test_a_module_goes_with_what_needs_gradients_and_tensors_alone(self, strategy: str) -> None:
        assert built(MODULE, strategy)

    @pytest.mark.parametrize(
        ("strategy", "said"),
        [
            ("hierfavg", "strategy.work: each device would run the code in a process of its own"),
            ("two_stream", "strategy.train: two_stream compares the features of pictures"),
            (
                {"share": {"average": ["a*"], "publish": ["b*"]}},
                "strategy.share: this learner trains against no network",
            ),
        ],
    )
    def test_a_module_gives_no_features_and_has_no_opponents(
        self, strategy: Any, said: str
    ) -> None:
        assert said in refusal_of(MODULE, strategy)

    @pytest.mark.parametrize("strategy", ["fedavg", "fedadam", "median", "krum", "qsgd", "top_k"])
    def test_a_flower_app_goes_with_every_codec_and_rule(self, strategy: str) -> None:
        members = tuple(f"0x{number:040x}" for number in range(1, 7))
        rounds = {"count": 1, "cohort_floor": 6, "min_updates": 5}
        assert small_manifest(members, learner=FLOWER, strategy=strategy, rounds=rounds)

    @pytest.mark.parametrize(
        ("strategy", "said"),
        [
            ("fedprox", "strategy.train: a Flower app trains in its own way, so proximal"),
            ("scaffold", "strategy.train: "),
            ("ditto", "strategy.train: "),
            ({"work": {"steps": 5}}, "strategy.work: a Flower app decides"),
            ({"work": {"epochs": 2}}, "strategy.work: a Flower app decides"),
            ("loadaboost", "strategy.work: a Flower app decides"),
            ("hierfavg", "strategy.work: a Flower app decides"),
            ({"share": ["net.*"]}, "strategy.share: a Flower app answers with all"),
        ],
    )
    def test_a_flower_app_alone_decides_how_it_trains(self, strategy: Any, said: str) -> None:
        assert said in refusal_of(FLOWER, strategy)

    def test_a_flower_app_cannot_forget_its_context(self) -> None:
        assert "learner.optimiser_state" in refusal_of(FLOWER, optimiser_state="fresh")


def test_the_two_kinds_are_choices_of_a_manifest() -> None:
    assert LEARNERS[-2:] == (ModuleLearner, FlowerLearner)


def test_a_manifest_that_names_no_code_is_refused_before_anything_runs() -> None:
    assert "learner.code: Field required" in refusal_of({"kind": "module"})
    with pytest.raises(ManifestInvalid, match="learner"):
        build_manifest({"learner": "module"})
