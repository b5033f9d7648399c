"""The manifest: what a person writes, what is hashed, and what is said when a field is wrong."""

from __future__ import annotations

import copy
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_node.blobs.canonical import MAX_JSON_DEPTH, canonical_json, parse_json
from fl_node.errors import BlobMalformed, ManifestInvalid
from fl_node.manifest.manifest import (
    build_manifest,
    parse_manifest,
    read_manifest,
)
from fl_node.seeds import derive_seed
from fl_node.strategy.presets import PRESETS

MEMBERS = [f"0x{number:040x}" for number in (1, 2, 3)]
VALUES = {"name": "digits", "seed": 7, "members": MEMBERS, "rounds": {"count": 5}}

TOML = f"""
name = "digits"
seed = 7
members = ["0x{1:040x}", "0x{2:040x}"]
strategy = "fedavg"

[data]
held_out = 0.1

[learner]
generator_rate = 2e-4

[rounds]
count = 5
cohort_fraction = 0.5

[limits]
update_norm = 10
"""


def changed(path: str, value: object) -> dict[str, object]:
    """VALUES with one field, named by a dotted path, set to a value."""
    values = copy.deepcopy(VALUES)
    *sections, field = path.split(".")
    inner = values
    for section in sections:
        inner = inner.setdefault(section, {})
    inner[field] = value
    return values


def test_toml_is_read_and_its_fractions_are_exact(tmp_path):
    path = tmp_path / "task.toml"
    path.write_text(TOML)
    manifest = read_manifest(path)
    assert manifest.learner.generator_rate == Decimal("0.0002")
    assert manifest.terms().cohort_fraction == 5000
    assert manifest.limits.update_norm == 10


def test_what_is_stored_has_every_default_written_out():
    stored = json.loads(build_manifest(VALUES).to_bytes())
    assert stored["learner"]["beta1"] == "0"
    assert stored["learner"]["generator_rate"] == "0.0002"
    assert stored["strategy"]["combine"] == {"kind": "weighted_mean", "weights": "examples"}
    assert stored["strategy"]["encode"] == {"feedback": "0", "stages": []}
    assert stored["strategy"]["work"] == {
        "devices": 1,
        "edge_rounds": 1,
        "epochs": 1,
        "loss": "training",
        "steps": None,
        "until": "done",
    }


def test_the_stored_form_comes_back_byte_for_byte():
    blob = build_manifest(VALUES).to_bytes()
    assert parse_manifest(blob).to_bytes() == blob


@pytest.mark.parametrize("text", ["0.10", "1e-1", "0.1000"])
def test_one_number_has_one_spelling(text):
    assert (
        build_manifest(changed("data.held_out", text)).to_bytes()
        == build_manifest(changed("data.held_out", Decimal("0.1"))).to_bytes()
    )


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("name", "", "name: .*at least 1"),
        ("seed", -1, "seed: .*greater than or equal to 0"),
        ("seed", 1 << 63, "seed: .*less than"),
        ("data.size", 48, "data.size: .*32 or 64"),
        ("learner.loss", "wasserstein", "learner.loss: .*'bce', 'hinge' or 'relativistic'"),
        ("learner.kind", "diffusion", "learner: .*'gan', 'classifier'"),
        ("learner", ["gan"], "learner: "),
        ("learner", {"kind": ["gan"]}, "learner: "),
        ("learner", "diffusion", "learner: .*'gan', 'classifier'"),
        ("learner", {"kind": "classifier", "momentum": 2}, "learner.momentum: .*less than 1"),
        ("learner", {"network": "residual"}, 'learner: network "residual" has no norms: norm must'),
        ("learner", {"network": "unet"}, "learner.network: .*'dcgan' or 'residual'"),
        ("learner", {"classes": 10_001}, "learner.classes: .*less than or equal to 10000"),
        ("learner.widht", 3, "learner.widht: unknown field; did you mean width"),
        ("learner.beta1", "0.9999999999", "learner.beta1: .*9 decimal"),
        ("rounds.count", 0, "rounds.count: .*greater than or equal to 1"),
        ("rounds.cohort_fraction", Decimal("1.5"), "rounds.cohort_fraction: .*less than or equal"),
        ("rounds.cohort_fraction", Decimal("0.12345"), "rounds.cohort_fraction: .*4 decimal"),
        ("rounds.quorum", Decimal("0.4"), "rounds.quorum: .*greater than or equal to 0.5"),
        ("rounds.cohort_floor", 4, "rounds.cohort_floor is 4, but there are 3 members"),
        ("rounds.min_updates", 3, "rounds.min_updates is 3; at most .*2"),
        ("strategy", "fedsgd", "strategy 'fedsgd' is unknown; allowed: .*fedavg"),
        ("strategy", 3, "strategy"),
        ("strategy.preset", "nothing", "strategy 'nothing' is unknown; allowed"),
        ("strategy.preset", [], "strategy"),
        ("strategy.encode", "zip", "strategy.encode.stages.0: .*'quantise'"),
        (
            "strategy.encode",
            [{"kind": "top_k", "fraction": 0}],
            "stages.0.fraction: .*greater than 0",
        ),
        ("strategy.encode", ["quantise", "top_k"], "strategy.encode: top_k cannot follow quantise"),
        ("strategy.train", "sgd", "strategy.train: .*'scaffold'"),
        ("strategy.combine", {"kind": "krum", "byzantine": -1}, "strategy.combine.byzantine: "),
        ("strategy.combine", "krum", "strategy.combine: .*rounds.min_updates must be"),
        ("strategy.combine", "median", "strategy.combine: .*rounds.min_updates must be"),
        ("strategy.send", "relevance", "strategy.send: .*rounds.min_updates = 1"),
        ("strategy.work", {"steps": [1, 2]}, "strategy.work: steps has 2 entries, but there are 3"),
        (
            "strategy",
            {"train": "scaffold", "share": ["generator*"]},
            "strategy.train: .*never averaged",
        ),
        ("strategy.work", {"steps": 1, "epochs": 1}, "strategy.work: give either steps or epochs"),
        ("limits.update_norm", "NaN", "limits.update_norm: .*finite"),
        ("limits.update_norm", Decimal("1e999999"), "limits.update_norm: "),
        ("limits.update_norm", "1e-999999", "limits.update_norm: "),
        ("learner.generator_rate", "1e-999999", "learner.generator_rate: "),
        ("limits.update_norm", "a lot", "limits.update_norm: "),
        ("limits.update_norm", True, "limits.update_norm: "),
        ("limits.examples", 0, "limits.examples: .*greater than or equal to 1"),
        ("members", [], "members: .*at least 1"),
        ("members", MEMBERS[::-1], "members must be distinct and in ascending order"),
        ("members", [MEMBERS[0]] * 2, "members must be distinct"),
        ("members", ["0x12"], "members.0: .*address"),
        ("surprise", 1, "surprise: unknown field$"),
        ("format", 1, "format: .*3"),
    ],
)
def test_a_wrong_field_is_named_with_what_is_allowed(path, value, said):
    with pytest.raises(ManifestInvalid, match=said) as caught:
        build_manifest(changed(path, value))
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("missing", sorted(VALUES))
def test_what_has_no_default_must_be_given(missing):
    values = {key: value for key, value in VALUES.items() if key != missing}
    with pytest.raises(ManifestInvalid, match=f"{missing}: Field required"):
        build_manifest(values)


@pytest.mark.parametrize("text", ["name = ", "[a]\n[a]", "\x00"])
def test_a_file_that_is_no_toml(tmp_path, text):
    path = tmp_path / "task.toml"
    path.write_text(text)
    with pytest.raises(ManifestInvalid, match=r"task\.toml"):
        read_manifest(path)


def test_a_file_that_is_not_there_or_no_text(tmp_path):
    with pytest.raises(ManifestInvalid, match=r"nowhere\.toml"):
        read_manifest(tmp_path / "nowhere.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ManifestInvalid, match=r"binary\.toml"):
        read_manifest(tmp_path / "binary.toml")


def test_a_preset_is_a_starting_point_and_choices_beside_it_win():
    plain = build_manifest(VALUES).strategy
    work = {"steps": 3}
    by_name = build_manifest(changed("strategy", "fedavg")).strategy
    beside = build_manifest(changed("strategy", {"preset": "fedavg", "work": work})).strategy
    assert plain == by_name
    assert beside.work.steps == 3
    assert beside.model_copy(update={"work": plain.work}) == plain


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_is_a_valid_strategy(preset):
    rounds = {"count": 5, "cohort_floor": 5, "min_updates": 1 if preset == "cmfl" else 5}
    members = [f"0x{number:040x}" for number in range(1, 6)]
    manifest = build_manifest(changed("strategy", preset) | {"members": members, "rounds": rounds})
    assert parse_manifest(manifest.to_bytes()) == manifest


@pytest.mark.parametrize(
    ("strategy", "work"),
    [
        ({"preset": "loadaboost", "work": {"steps": 7}}, (7, None, "median_loss")),
        ({"preset": "loadaboost", "work": {"epochs": 7}}, (None, 7, "median_loss")),
        ({"preset": "loadaboost"}, (None, 2, "median_loss")),
        ({"work": {"epochs": [1, 2, 3]}}, (None, (1, 2, 3), "done")),
    ],
)
def test_choices_win_field_by_field(strategy, work):
    chosen = build_manifest(changed("strategy", strategy)).strategy.work
    assert (chosen.steps, chosen.epochs, chosen.until) == work


def test_another_kind_replaces_a_presets_knobs():
    strategy = {"preset": "fedprox", "train": {"kind": "ditto"}}
    assert build_manifest(changed("strategy", strategy)).strategy.train.kind == "ditto"
    strategy = {"preset": "fedprox", "train": {"mu": "0.5"}}
    assert build_manifest(changed("strategy", strategy)).strategy.train.mu == Decimal("0.5")


@pytest.mark.parametrize(
    ("learner", "shared"), [("gan", ("generator*",)), ("classifier", ("base.*",))]
)
def test_fedper_keeps_what_is_personal_in_the_learner(learner, shared):
    values = changed("strategy", "fedper") | {"learner": learner}
    assert build_manifest(values).strategy.share.average == shared


STORED = build_manifest(VALUES).to_bytes()


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\xff",
        b"[]",
        b"7",
        b"[" * 100_000,
        STORED + b"\n",
        STORED.replace(b'"0.1"', b"0.1"),
        STORED.replace(b'"0.1"', b'"0.10"'),
        STORED.replace(b'"seed":7', b'"seed":7.0'),
        STORED.replace(b'"seed":7', b'"seed":"7"'),
        STORED.replace(b'"seed":7', b'"seed":NaN'),
        STORED.replace(b'"seed":7', b'"seed":' + b"9" * 5000),
        STORED.replace(b'"seed":7', b'"seed":7,"seed":7'),
        STORED.replace(b'"format":3,', b""),
    ],
)
def test_a_stored_manifest_in_any_other_form_is_malformed(blob):
    with pytest.raises(BlobMalformed):
        parse_manifest(blob)


@given(st.binary(max_size=100))
def test_random_bytes_are_no_manifest(blob):
    with pytest.raises(BlobMalformed):
        parse_manifest(blob)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=10,
)


@given(json_values)
def test_canonical_json_is_json_and_the_same_again(value):
    text = canonical_json(value)
    assert parse_json(text.decode()) == value
    assert canonical_json(parse_json(text.decode())) == text


@pytest.mark.parametrize("value", [0.5, {"a": [1, 0.5]}, float("nan"), Decimal(1), b""])
def test_canonical_json_holds_no_floats_nor_foreign_types(value):
    with pytest.raises(TypeError):
        canonical_json(value)


def test_nesting_is_bounded_outside_of_texts_only():
    assert parse_json("[" * MAX_JSON_DEPTH + "]" * MAX_JSON_DEPTH)
    assert parse_json('"' + "[" * 1000 + '\\"{"')
    with pytest.raises(ValueError, match="nested"):
        parse_json("[" * (MAX_JSON_DEPTH + 1) + "]" * (MAX_JSON_DEPTH + 1))
    with pytest.raises(ValueError, match="nested"):
        parse_json('["]]]]]]\\\\",' * 100_000)


def test_the_terms_are_the_manifests_rounds_in_the_contracts_units():
    terms = build_manifest(changed("rounds.quorum", Decimal("0.6667"))).terms()
    assert (terms.rounds, terms.quorum, terms.cohort_fraction, terms.min_updates) == (
        5,
        6667,
        10_000,
        2,
    )


@given(st.integers(0, 2**63 - 1), st.lists(st.integers(0, 9), max_size=3))
def test_a_derived_seed_fits_and_is_repeatable(seed, labels):
    derived = derive_seed(seed, "train", *labels)
    assert 0 <= derived < 2**63
    assert derived == derive_seed(seed, "train", *labels)


def test_derived_seeds_are_those_of_the_protocol_page():
    assert derive_seed(7) != derive_seed(7, "train") != derive_seed(7, "train", 1)
    # First 16 digits of: printf '7\ntrain\n1' | sha256sum; top bit cleared by halving.
    assert derive_seed(7, "train", 1) == int("d657d9f31026253d", 16) >> 1


PUBLISHING = {"average": ["generator*"], "publish": ["discriminator*"]}


def test_a_list_is_short_for_what_is_averaged():
    one = build_manifest(changed("strategy", {"share": ["generator*"]}))
    other = build_manifest(changed("strategy", {"share": {"average": ["generator*"]}}))
    assert one.to_bytes() == other.to_bytes()


def test_a_gan_may_publish_its_discriminator():
    assert build_manifest(changed("strategy", {"share": PUBLISHING})).strategy.needs_past


@pytest.mark.parametrize(
    ("learner", "strategy", "because"),
    [
        ("classifier", {"share": PUBLISHING}, "nobody would use what is published"),
        ("gan", {"share": {"publish": ["discriminator*"]}}, "leaves nothing to publish"),
        ("gan", {"share": PUBLISHING, "work": {"steps": 1, "devices": 2}}, "each device"),
        ("gan", {"share": PUBLISHING, "train": "scaffold"}, "scaffold"),
        ("gan", {"share": {**PUBLISHING, "opponents": 0}}, "opponents"),
    ],
)
def test_what_cannot_be_published_is_refused_with_the_reason(learner, strategy, because):
    with pytest.raises(ManifestInvalid, match=because):
        build_manifest(changed("strategy", strategy) | {"learner": learner})
