"""Names for well-known combinations of choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fl_node.fields import Loss

BODY = "the learner's body"
"""Placeholder in a preset for the tensors of the manifest's learner that FedPer shares."""

FALLING = "the loss that falls"
"""Placeholder in a preset for the loss that LoAdaBoost uses, which must fall as the learner improves."""

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "fedavg": {},
    "fedprox": {"train": {"kind": "proximal", "mu": "0.01"}},
    "fedprox_adaptive": {"train": {"kind": "adaptive_proximal"}},
    "scaffold": {
        "train": {"kind": "scaffold"},
        "combine": {"kind": "weighted_mean", "weights": "equal"},
    },
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
    "cmfl": {"send": {"kind": "relevance", "decay": "sqrt"}},
    "qsgd": {"encode": {"stages": [{"kind": "quantise", "bits": 8, "spread": "norm"}]}},
    "quantised": {"encode": {"stages": [{"kind": "quantise", "bits": 8}]}},
    "top_k": {"encode": {"stages": [{"kind": "top_k", "fraction": "0.01"}], "feedback": 1}},
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
"""Names for well-known combinations. A preset is a starting point: choices written beside it take precedence."""


def expand_preset(strategy: object, body: Sequence[str], falling_loss: Loss) -> dict[str, Any]:
    """Replace a preset's name by its choices.

    Args:
        strategy: As a person wrote it: a preset's name, or a table of choices with or without `preset`.
        body: Patterns over tensor names; FedPer shares the tensors that match.
        falling_loss: The loss that falls as the learner improves.

    Raises:
        ValueError: No such preset.
    """
    chosen = dict(strategy) if isinstance(strategy, Mapping) else {"preset": strategy}
    name = chosen.pop("preset", "fedavg")
    if not isinstance(name, str) or name not in PRESETS:
        raise ValueError(f"strategy {name!r} is unknown; allowed: {', '.join(sorted(PRESETS))}")
    preset = dict(PRESETS[name])
    if preset.get("share") == BODY:
        preset["share"] = list(body)
    if preset.get("work", {}).get("loss") == FALLING:
        preset["work"] = {**preset["work"], "loss": falling_loss}
    return _over(preset, chosen)


def _over(preset: dict[str, Any], chosen: dict[str, Any]) -> dict[str, Any]:
    """Chosen fields override the preset's, within a section too; another kind replaces the whole section."""
    merged = {**preset, **chosen}
    for name in preset.keys() & chosen.keys():
        default, choice = preset[name], chosen[name]
        if _same_kind(default, choice):
            merged[name] = {**_without_rival(default, choice), **choice}
    return merged


def _same_kind(default: object, choice: object) -> bool:
    if not (isinstance(default, dict) and isinstance(choice, dict)):
        return False
    return "kind" not in choice or choice["kind"] == default.get("kind")


def _without_rival(work: dict[str, Any], chosen: dict[str, Any]) -> dict[str, Any]:
    """Steps and epochs exclude each other: choosing either removes the preset's."""
    rivals = {"steps", "epochs"}
    return {
        key: value for key, value in work.items() if not (key in rivals and rivals & chosen.keys())
    }
