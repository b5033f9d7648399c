"""E6: the effect of a fault in the listing that this project grew from: each call of `train` initialised both networks.

    uv run scripts/experiments/listing.py

The listing trains a DCGAN with batch norm and binary cross-entropy, by Adam at 1e-3 with betas 0.5 and 0.999, in
batches of 32. A cohort is a tenth of ten members, but at least two, and only the generator is shared. It is compared
with the same without the fault, and with this project's objective and both networks shared, for the same members,
rounds, steps and layers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from comparing import quality_cells, ratio_cell
from gans import SEEDS, floor_of, gan, gan_results, judged, learner
from harness import Experiment
from reporting import Options, markdown, mean_and_spread, read_options
from results import Result
from settings import Setting

from fl_node.arrays import Arrays
from fl_node.learner import Assignment, Learner, Measured, StepProgress, Trained, no_progress
from fl_node.learning import genesis, shared_part
from fl_node.learning.gan.options import GanOptions
from fl_node.learning.kinds import learning_options

FORGETFUL, MENDED, OURS = "the listing", "the listing, mended", "ours"

OBJECTIVE: dict[str, Any] = {
    "norm": "batch",
    "loss": "bce",
    "penalty": 0,
    "generator_rate": "0.001",
    "discriminator_rate": "0.001",
    "beta1": "0.5",
    "beta2": "0.999",
    "ema_half_life": 0,
    "batch": 32,
}
"""The listing's objective: fields of the manifest's learner."""

FORGETS = "forgets"
EVERY = 2


class Forgetful:
    """A learner that starts every training with new weights and ignores the received model."""

    def __init__(self, learner: Learner, options: GanOptions) -> None:
        self._learner, self._options = learner, options

    def steps_for(self, epochs: int) -> int:
        """As for the wrapped learner."""
        return self._learner.steps_for(epochs)

    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        """Train a newly drawn generator against a member's initial discriminator."""
        drawn = shared_part(genesis(self._options, assignment.seed), self._options.share)
        return self._learner.train(replace(assignment, model=drawn, private=None), progress)

    def measure(self, model: Arrays, private: Arrays | None, training: bool = False) -> Measured:
        """As for the wrapped learner."""
        return self._learner.measure(model, private, training)


def wrap(setting: Setting, index: int, learner: Learner) -> Learner:
    """Make the members forgetful in the setting that has the fault."""
    if setting.variant != FORGETS:
        return learner
    return Forgetful(learner, learning_options(setting.manifest(0)))


def main() -> None:
    options = read_options(__doc__ or "", SEEDS)
    chosen = settings(options)
    results = gan_results(Experiment(chosen, judged, wrap), options)
    last, ours = chosen[0].rounds, results[OURS]
    print(
        markdown(
            [
                {
                    "training": name,
                    **quality_cells(runs, last),
                    "FID / ours": ratio_cell(runs, ours, last, last),
                    "seconds": mean_and_spread([run.seconds for run in runs], 0),
                }
                for name, runs in results.items()
            ]
        )
    )
    print(f"\n{markdown(rounds_table(results))}")
    print(f"\nreal training pictures: KID {floor_of(chosen[0], options.device)['kid']:.4f}")


def settings(options: Options) -> list[Setting]:
    """The listing, the listing without its fault, and ours."""
    theirs = {**learner(options), **OBJECTIVE}
    fields: dict[str, Any] = {
        "members": 10,
        "every": EVERY,
        "values": {"rounds": {"cohort_fraction": "0.1", "cohort_floor": 2}},
    }
    generator = {"share": ["generator.*"]}
    return [
        gan(options, FORGETFUL, generator, learner=theirs, variant=FORGETS, **fields),
        gan(options, MENDED, generator, learner=theirs, **fields),
        gan(options, OURS, **fields),
    ]


def rounds_table(results: dict[str, list[Result]]) -> list[dict[str, str]]:
    """KID over the rounds."""
    rounds = [int(at["round"]) for at in results[OURS][0].curve]
    return [
        {
            "KID after round": name,
            **{
                str(round): mean_and_spread([run.curve[index]["kid"] for run in runs], 2)
                for index, round in enumerate(rounds)
            },
        }
        for name, runs in results.items()
    ]


if __name__ == "__main__":
    main()
