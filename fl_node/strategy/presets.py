"""Names for well-known combinations of choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fl_node.fields import Loss

BODY = "the learner's body"
"""Stands in a preset for what FedPer shares of the manifest's learner."""

FALLING = "the loss that falls"
"""Stands in a preset for the loss by which LoAdaBoost goes, which must say how good a model is."""

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "fedavg": {},
    "fedprox": {"train": {"kind": "proximal", "mu": "0.01"}},
    "fedprox_adaptive": {"train": {"kind": "adaptive_proximal"}},
    "scaffold": {"train": {"kind": "scaffold"}},
    "ditto": {"train": {"kind": "ditto"}},
    "two_stream": {"train": {"kind": "two_stream"}},
    "fedper": {"share": BODY},
    "loadaboost": {"work": {"epochs": 2, "until": "median_loss", "loss": FALLING}},
    "hierfavg": {"work": {"epochs": 1, "devices": 2, "edge_rounds": 2}},
    "fedavgm": {"combine": {"kind": "momentum"}},
    "fedadagrad": {"combine": {"kind": "adagrad"}},
    "fedadam": {"combine": {"kind": "adam"}},
    "fedyogi": {"combine": {"kind": "yogi"}},
    "fednova": {"combine": {"kind": "fednova"}},
    "median": {"combine": {"kind": "median"}},
    "trimmed_mean": {"combine": {"kind": "trimmed_mean"}},
    "krum": {"combine": {"kind": "krum"}},
    "multi_krum": {"combine": {"kind": "krum", "keep": 2}},
    "cmfl": {"send": {"kind": "relevance"}},
    "qsgd": {"encode": {"stages": [{"kind": "quantise", "bits": 8}]}},
    "dgc": {"encode": {"stages": [{"kind": "top_k", "fraction": "0.01"}], "feedback": 1}},
    "esgd": {"encode": {"stages": [{"kind": "esgd", "fraction": "0.125"}], "feedback": "0.9"}},
    "sketched": {
        "encode": {
            "stages": [
                {"kind": "subsample", "one_in": 16},
                {"kind": "rotate"},
                {"kind": "quantise", "bits": 2},
            ]
        }
    },
}
"""Names for well-known combinations. A preset is a starting point: choices written beside it win."""


def expand_preset(strategy: object, body: Sequence[str], falling_loss: Loss) -> dict[str, Any]:
    """Write a preset's choices out.

    Args:
        strategy: As a person wrote it: a preset's name, or choices, with `preset` among them or not.
        body: Patterns over the names of the tensors that FedPer shares of the learner.
        falling_loss: The loss that falls as the learner gets better.

    Raises:
        ValueError: No such preset.
    """
    chosen = dict(strategy) if isinstance(strategy, Mapping) else {"preset": strategy}
    name = chosen.pop("preset", "fedavg")
    if not isinstance(name, str) or name not in PRESETS:
        raise ValueError(f"strategy {name!r} is not known; allowed: {', '.join(sorted(PRESETS))}")
    preset = dict(PRESETS[name])
    if preset.get("share") == BODY:
        preset["share"] = list(body)
    if preset.get("work", {}).get("loss") == FALLING:
        preset["work"] = {**preset["work"], "loss": falling_loss}
    return _over(preset, chosen)


def _over(preset: dict[str, Any], chosen: dict[str, Any]) -> dict[str, Any]:
    """What is chosen wins field by field, within a section too; another kind replaces a section whole."""
    merged = {**preset, **chosen}
    for name in preset.keys() & chosen.keys():
        one, other = preset[name], chosen[name]
        if _same_kind(one, other):
            merged[name] = {**_without_rival(one, other), **other}
    return merged


def _same_kind(one: object, other: object) -> bool:
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return False
    return "kind" not in other or other["kind"] == one.get("kind")


def _without_rival(work: dict[str, Any], chosen: dict[str, Any]) -> dict[str, Any]:
    """Steps and epochs exclude each other, so that who writes one drops the preset's other."""
    rivals = {"steps", "epochs"}
    return {
        key: value for key, value in work.items() if not (key in rivals and rivals & chosen.keys())
    }
