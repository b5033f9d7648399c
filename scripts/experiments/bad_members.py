"""E5: two of ten members are Byzantine; which aggregation rules tolerate them.

    uv run scripts/experiments/bad_members.py

`limits.update_norm`, which leaves out updates with a larger norm, is 1000, which all of these updates keep, so that the
rules are on their own. One row shows the mean with a limit that only honest updates keep.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from classifiers import classifier
from classifying import classified
from harness import Experiment
from reporting import Options, finals, markdown, read_options, results_of
from results import Result
from settings import Setting

from fl_node.arrays import Array, Arrays
from fl_node.blobs.encoding import difference
from fl_node.learner import Assignment, Learner, StepProgress, Trained, no_progress

BAD = (3, 7)
"""The indices of the Byzantine members."""

NONE = ""
"""No attack."""

Attack = Callable[[Array, np.random.Generator, int], Array]
"""(a tensor of the honest difference, random generator, the member's index) -> the tensor that is sent instead."""

ATTACKS: Mapping[str, Attack] = {
    "sign flipped": lambda honest, random, index: -honest,
    "scaled by 100": lambda honest, random, index: 100 * honest,
    # Slightly different for each member, because a repeated update would be left out as a copy.
    "constant": lambda honest, random, index: np.full_like(honest, 1 + index / 10),
    "noise": lambda honest, random, index: random.standard_normal(honest.shape, np.float32),
}
"""What a Byzantine member sends, by its name in the table."""


LOOSE = {"limits": {"update_norm": 1000}}


def _robust(combine: Mapping[str, Any]) -> dict[str, Any]:
    """A robust rule, with as many required updates as there are honest members."""
    return {"strategy": {"combine": combine}, "values": {**LOOSE, "rounds": {"min_updates": 8}}}


RULES: Mapping[str, Mapping[str, Any]] = {
    "mean": {"values": LOOSE},
    "mean, norm at most 5": {"values": {"limits": {"update_norm": 5}}},
    "median": _robust({"kind": "median"}),
    "trimmed mean, 0.2": _robust({"kind": "trimmed_mean", "share": "0.2"}),
    "Krum, 2 Byzantine": _robust({"kind": "krum", "byzantine": 2}),
    "multi-Krum, 2 Byzantine, 6 kept": _robust({"kind": "krum", "byzantine": 2, "keep": 6}),
}
"""The rules, by their names in the table."""


@dataclass(frozen=True, slots=True)
class BadLearner:
    """Trains honestly, and then sends something else."""

    learner: Learner
    attack: Attack
    index: int

    def steps_for(self, epochs: int) -> int:
        """As for the honest learner."""
        return self.learner.steps_for(epochs)

    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        """Give another model with the honest number of examples and the honest loss."""
        trained = self.learner.train(assignment, progress)
        random = np.random.default_rng(assignment.seed)
        honest = difference(trained.shared, assignment.model)
        return replace(trained, shared=_moved(assignment.model, self._bad(honest, random)))

    def measure(self, model: Arrays, private: Arrays | None, training: bool = False) -> float:
        """As for the honest learner."""
        return self.learner.measure(model, private, training)

    def _bad(self, honest: Arrays, random: np.random.Generator) -> Arrays:
        return {name: self.attack(array, random, self.index) for name, array in honest.items()}


def attacked(setting: Setting, index: int, learner: Learner) -> Learner:
    """Replace the Byzantine members' learners if the setting names an attack."""
    if not setting.variant or index not in BAD:
        return learner
    return BadLearner(learner, ATTACKS[setting.variant], index)


def main() -> None:
    options = read_options(__doc__ or "")
    results = results_of(Experiment(settings(options), classified, attacked), options)
    print(markdown([_row(rule, results) for rule in RULES]))


def settings(options: Options) -> list[Setting]:
    """Each rule with each attack and with none, on IID data, because robust rules assume similar honest updates."""
    return [
        classifier(
            options,
            _name(rule, attack),
            manifest.get("strategy"),
            variant=attack,
            rounds=10,
            values=manifest.get("values", {}),
        )
        for attack in (NONE, *ATTACKS)
        for rule, manifest in RULES.items()
    ]


def _row(rule: str, results: dict[str, list[Result]]) -> dict[str, str]:
    cells = {
        attack or "none": finals(results[_name(rule, attack)], "accuracy", scale=100)
        for attack in (NONE, *ATTACKS)
    }
    return {"rule": rule, **cells}


def _name(rule: str, attack: str) -> str:
    return f"{rule} | {attack or 'none'}"


def _moved(model: Arrays, difference: Arrays) -> dict[str, Array]:
    return {name: np.asarray(model[name] + difference[name], np.float32) for name in model}


if __name__ == "__main__":
    main()
