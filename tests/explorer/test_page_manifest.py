"""The page reads a manifest as Python does: what it refuses, and what it takes."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import Page
from doubles import small_manifest
from test_page_arithmetic import task_of

from fl_node.blobs.canonical import canonical_json, parse_json
from fl_node.errors import BlobMalformed, ManifestInvalid
from fl_node.manifest.manifest import Manifest, parse_manifest
from fl_node.strategy.presets import PRESETS

CODE = {"code": "0" * 64, "entry": "a.b:C", "genesis": "1" * 64}
EXTREMES = [
    None,
    True,
    0,
    -1,
    1,
    2,
    3,
    97,
    2**16,
    2**24,
    2**31,
    2**53,
    2**63,
    10**77,
    "",
    "0",
    "-0",
    "1",
    "-1",
    "0.5",
    "0.4999",
    "0.50",
    "1.0",
    "999",
    "0.12345",
    "0.1234567891",
    "9" * 10,
    "9" * 11,
    "0." + "1" * 18,
    "0." + "1" * 19,
    "1e3",
    "x",
    "*",
    "a" * 1001,
    [],
    ["*"],
    {},
    [1],
    [[1, "0.1"]],
    [[1, "0.1"], [1, "0.2"]],
    [[2, "0.1"]],
    {"from": "0.1", "kind": "linear", "over": 2, "to": "0"},
]


def manifests() -> Iterator[tuple[str, Manifest]]:
    rounds = {"count": 2, "min_updates": 5, "cohort_floor": 5}
    members = tuple(f"0x{number:040x}" for number in range(1, 8))
    for preset in PRESETS:
        learner = "classifier" if preset in ("fedprox_adaptive", "loadaboost") else "gan"
        try:
            yield preset, small_manifest(members, strategy=preset, learner=learner, rounds=rounds)
        except ManifestInvalid:
            continue
    for learner in ("classifier", "flow", {"kind": "gan", "norm": "batch"}):
        yield str(learner), small_manifest(members, learner=learner, rounds=rounds)
    requires = ["torch>=2.6", "scikit_learn == 1.*", "numpy"]
    module = {
        "kind": "module",
        **CODE,
        "requires": requires,
        "metrics": ["auc"],
        "knobs": {"a": [1, "x"]},
    }
    yield "module", small_manifest(members, learner=module, rounds=rounds)
    yield "flower", small_manifest(members, learner={"kind": "flower", **CODE}, rounds=rounds)
    yield "roles", task_of({"kind": "weighted_mean"}, "scaffold")


MANIFESTS = dict(manifests())


def fits(blob: bytes) -> bool:
    """Whether Python takes it."""
    try:
        parse_manifest(blob)
    except BlobMalformed:
        return False
    return True


def disagreements(page: Page, tried: list[Any]) -> list[Any]:
    """Those that the page takes and Python refuses, or the other way round. The page is asked for all at once."""
    blobs = [canonical_json(values) for values in tried]
    faults = page.ask("manifestFaults", [blob.hex() for blob in blobs])
    odd = []
    for values, blob, fault in zip(tried, blobs, faults, strict=True):
        if fault and "requirement" in fault:
            continue
        assert fault in (None, "malformed")
        if (fault is None) != fits(blob):
            odd.append(values)
    return odd


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, item in items:
        yield from places(item, (*path, key))


def put(values: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    changed = copy.deepcopy(values)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new
    return changed


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_is_taken(page: Page, name: str) -> None:
    manifest = MANIFESTS[name]
    members = page.ask("manifest", manifest.to_bytes().hex())
    assert members == [member.lower() for member in manifest.members]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["fedavg", "scaffold", "classifier", "flow", "module", "flower", "sketched", "krum"]
)
def test_whatever_a_field_holds_both_say_the_same(page: Page, name: str) -> None:
    values = parse_json(MANIFESTS[name].to_bytes().decode())
    tried = [
        put(values, path, extreme)
        for path in places(values)
        for number, extreme in enumerate(EXTREMES)
        # A third of them in each place, another third in the next.
        if (number + len(path)) % 3 == 0 or path[-1:] == ("kind",)
    ]
    assert disagreements(page, tried) == []


@pytest.mark.parametrize(
    "path", [("strategy", "send"), ("limits", "steps"), ("learner", "kind"), ("roles",)]
)
def test_a_field_that_is_missing_or_unknown_is_refused(page: Page, path: tuple[str, ...]) -> None:
    values = parse_json(MANIFESTS["fedavg"].to_bytes().decode())
    changed = copy.deepcopy(values)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    assert disagreements(page, [changed, {**values, "unknown": 1}]) == []


def test_the_vector(page: Page) -> None:
    blob = (Path(__file__).parents[1] / "vectors" / "manifest.json").read_bytes()
    assert len(page.ask("manifest", blob.hex())) == 2


CHOICES: list[dict[str, Any]] = [
    {"combine": {"kind": "median"}},
    {"combine": {"kind": "trimmed_mean", "share": "0.2"}},
    {"combine": {"kind": "trimmed_mean", "share": "0.19"}},
    {"combine": {"kind": "krum", "byzantine": 2, "keep": 1}},
    {"combine": {"kind": "krum", "byzantine": 1, "keep": 5}},
    {"combine": {"kind": "fednova", "momentum": "0.9"}},
    {"send": {"kind": "relevance", "threshold": "0.5", "decay": "none"}},
    {"share": {"average": ["*"], "publish": ["discriminator*"], "opponents": 8}},
    {"share": {"average": ["generator*"], "publish": ["discriminator*"], "opponents": 8}},
    {
        "train": {"kind": "scaffold", "step": "1"},
        "encode": ["rotate", {"kind": "quantise", "bits": 2}],
    },
    *(
        {
            "train": {"kind": "scaffold", "step": step},
            "encode": [{"kind": "subsample"}, "rotate", {"kind": "quantise", "bits": 2}],
        }
        for step in ("0.025", "0.026")
    ),
    {"encode": {"stages": [{"kind": "quantise", "bits": 1}], "feedback": "1"}},
    {"encode": {"stages": [{"kind": "quantise", "bits": 4, "bucket": 8}], "feedback": "1"}},
    {"encode": {"stages": [{"kind": "subsample", "scaled": False}], "feedback": "1"}},
    {"encode": {"stages": [{"kind": "top_k"}], "feedback": "1"}, "combine": {"kind": "median"}},
    {"work": {"epochs": [1, 2], "steps": None}},
    {"work": {"epochs": 1, "until": "median_loss"}},
    {"train": {"kind": "two_stream"}},
]


@pytest.mark.parametrize("learner", ["gan", "classifier", "module", "flower"])
@pytest.mark.parametrize("choices", CHOICES, ids=str)
def test_choices_that_do_not_go_together_are_refused(
    page: Page, choices: dict[str, Any], learner: str
) -> None:
    """Whether Python takes a choice is found out by reading it as TOML, and as the canonical JSON of its parts."""
    whole = parse_json(MANIFESTS[learner if learner != "gan" else "fedavg"].to_bytes().decode())
    whole["strategy"] = {**whole["strategy"], **_written(choices)}
    assert disagreements(page, [whole]) == []


def _written(choices: dict[str, Any]) -> dict[str, Any]:
    """The choices with every knob written out."""
    from pydantic import TypeAdapter

    from fl_node.strategy.strategy import Strategy

    dumped = TypeAdapter(Strategy).validate_python(choices).model_dump(mode="json")
    return {field: dumped[field] for field in choices}
